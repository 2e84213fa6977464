// JSON as a grammar: any object, or what a JSON Schema (2020-12) describes, in compact form with at most one blank
// after ':' and ',', properties in the schema's order. What cannot be enforced is refused by name, never ignored.
#pragma once

#include <string>
#include <string_view>

#include "model/grammar.h"

namespace tinderbox {

// Adds the rules of any JSON value, or of any object.
Grammar::Rule add_json_value(Grammar& grammar);
Grammar::Rule add_json_object(Grammar& grammar);

// Adds those of a schema: type, properties, required, additionalProperties, items, prefixItems, minItems, maxItems,
// enum, const, anyOf, oneOf (as anyOf), allOf, $ref into the document, minLength, maxLength, pattern, formats date,
// time, date-time and uuid, minimum and maximum (of numbers: integers), exclusiveMinimum and exclusiveMaximum of
// integers. schema_json: a JSON document. Throws Error::Unsupported naming the place and the keyword, Error::Invalid if
// it is no schema, Error::TooLarge beyond the limits.
Grammar::Rule add_json_schema(Grammar& grammar, std::string_view schema_json);

}  // namespace tinderbox
