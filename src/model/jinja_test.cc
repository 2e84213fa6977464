// The language, construct by construct. Expected texts are jinja2 3.1.6's with trim_blocks and
// lstrip_blocks on.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "model/chat_template.h"
#include "model/jinja_text.h"

namespace tinderbox {
namespace {

std::string render(std::string_view source) {
  ChatContext context;
  context.messages = {{"system", "S"}, {"user", "Hé"}};
  return ChatTemplate::parse(source).render(context);
}

using Cases = std::vector<std::pair<std::string, std::string>>;

void expect_all(const Cases& cases) {
  for (const auto& [source, want] : cases) {
    try {
      EXPECT_EQ(render(source), want) << source;
    } catch (const Error& error) {
      ADD_FAILURE() << source << ": " << error.what();
    }
  }
}
void expect_values(const Cases& cases) {
  for (const auto& [expression, want] : cases) expect_all({{"{{ " + expression + " }}", want}});
}

TEST(Jinja, WhiteSpaceAroundTags) {
  expect_all({
      {"a\n  {% if true %}\n b\n  {% endif %}\nc\n", "a\n b\nc"},
      {"a\n  {%- if true -%}\n b\n  {%- endif -%}\nc\n\n", "abc\n"},
      {"a  {% if true %}b{% endif %}  \n c", "a  b  \n c"},
      {"  {% if true %}x{% endif %}", "x"},
      {"\n\n  {%+ if true %}x\n{%+ endif +%}\ny", "\n\n  x\n\ny"},
      {"{# c #}\nx {# c -#}  \n y {#- z #} w", "x y w"},
      {"  {# c #}\nx\n\t{# d #}\ny", "x\ny"},
      {"x {{- 1 -}} y {{ 2 }}\nz", "x1y 2\nz"},
      {"{{ 1 }}\n{{ 2 }}\n", "1\n2"},
      {"\r\nx\r\n{% if 1 %}\r\ny\r\n{% endif %}\r\n", "\nx\ny\n"},
      {"{% raw %}{{ x }}{% if %}{% endraw %}\nz", "{{ x }}{% if %}z"},
      {"a {%- raw -%}  {{ x }} {%- endraw -%}  b", "a{{ x }}b"},
  });
}

TEST(Jinja, Statements) {
  expect_all({
      {"{% for i in [1,2,3] %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ "
       "loop.previtem }}{{ loop.nextitem }}{{ loop.length }}{{ loop.cycle('a','b') }};{% endfor %}",
       "1TrueFalse323a;2FalseFalse2133b;3FalseTrue123a;"},
      {"{% for i in [1,2,3,4] if i is even %}{{ loop.index }}{{ i }}{{ loop.last }}{% else "
       "%}none{% endfor %}",
       "12False24True"},
      {"{% for i in [] %}x{% else %}E{% endfor %}", "E"},
      {"{% for k, v in {'a':1,'b':2}.items() %}{{k}}={{v}},{% endfor %}{% for k in {'a':1} "
       "%}{{k}}{% endfor %}",
       "a=1,b=2,a"},
      {"{% for a, b in [[1,2],[3,4]] %}{{a+b}} {% endfor %}", "3 7 "},
      {"{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break "
       "%}{% endif %}{{i}}{% endfor %}",
       "02"},
      {"{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{x}}{% endfor %}{{x}}", "231"},
      {"{% set ns = namespace(x=1) %}{% for i in [1,2] %}{% set ns.x = ns.x + i %}{% endfor "
       "%}{{ns.x}}{{ ns['x'] }}{{ ns.zz is defined }}",
       "44False"},
      {"{% if false %}a{% elif 0 %}b{% elif 1 %}c{% else %}d{% endif %}", "c"},
      {"{% if x %}{% set y = 1 %}{% else %}{% set y = 2 %}{% endif %}{{ y }}", "2"},
      {"{% set a, b = 1, 2 %}{{a}}{{b}}{% set t = 1, 2 %}{{t}}", "12(1, 2)"},
      {"{% set x %} hi {{ 1 }} {% endset %}[{{x}}]{% set y | upper | trim %} hi {% endset "
       "%}[{{y}}]",
       "[ hi 1 ][HI]"},
      {"{% macro m(a, b=2, c='x') %}{{a}}{{b}}{{c}}{% endmacro %}{{ m(1) }}{{ m(1,c=5) }}{{ "
       "m(b=1,a=2) }}{{ m() }}",
       "12x12521x2x"},
      {"{% macro m(a) %}<{{ caller() }}{{ a }}>{% endmacro %}{% call m(1) %}in{% endcall %}",
       "<in1>"},
      {"{% macro m(a) %}<{{ caller(a) }}>{% endmacro %}{% call(q) m(1) %}in{{ q }}{% endcall %}",
       "<in1>"},
      {"{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(5) }}",
       "54321"},
      {"{% set g = 1 %}{% macro m() %}{{ g }}{% set g = 2 %}{{ g }}{% endmacro %}{{ m() }}{{ g }}",
       "121"},
      {"{% filter upper %}abc{{ 'd' }}{% endfilter %}{% filter replace('a','b')|upper %}aac{% "
       "endfilter %}",
       "ABCDBBC"},
      {"{% for i in [1,2] %}{% for j in [1,2] %}{{ loop.index }}{{ loop.depth }}{% endfor %}{{ "
       "loop.index }}{% endfor %}",
       "1121111212"},
      {"{% for i in [1,2] %}{% set outer = loop %}{% for j in [1,2] %}{{ outer.index }}{% endfor "
       "%}{% endfor %}",
       "1122"},
      {"{% for m in messages %}{% if loop.first and m.role == 'system' %}S{% continue %}{% endif "
       "%}{{ m.role }}{% endfor %}",
       "Suser"},
      {"{% for m in messages[1:] %}{{ m['content'] }}{% endfor %}{% for m in messages|reverse "
       "%}{{m.role}}{% endfor %}",
       "Héusersystem"},
      {"{% if messages[0]['role'] == 'system' %}{% set sys = messages[0]['content'] %}{% set "
       "loop_messages = messages[1:] %}{% endif %}{{ sys }}{{ loop_messages|length }}",
       "S1"},
      {"{% generation %}x{{ 1 }}{% endgeneration %}y", "x1y"},
      {"{% for x in undefined_thing %}a{% else %}b{% endfor %}", "b"},
      {"{% for c in 'héy' %}[{{c}}]{% endfor %}", "[h][é][y]"},
      {"{%if 1%}x{%endif%}{{1}}{{'}}'}}{{ {'a':{'b':1}}['a']['b'] }}{{ '%}' }}", "x1}}1%}"},
      {"{% set x = [1,2,3] %}{% set x = x + [4] %}{{ x }}{{ x|length }}", "[1, 2, 3, 4]4"},
      {"{% set content = 'a</think>\n\nb' %}{{ "
       "content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}|{{ "
       "content.split('</think>')[-1].lstrip('\n') }}",
       "a|b"},
      {"{% for i in range(3) -%}\n  {{ i }}\n{%- endfor %}", "012"},
      {"{% if 1 -%}  a  {%- else -%} b {%- endif %}c", "ac"},
      {"{{ '\n' }}{{ \"\n\" }}{{ 'a\n  b' }}", "\n\na\n  b"},
      {"{% set x = 'a' if 1 == 2 else 'b' if 1 == 3 else 'c' %}{{x}}", "c"},
      {"{", "{"},
      {"a{", "a{"},
      {"x { y", "x { y"},
  });
}

TEST(Jinja, Operators) {
  expect_values({
      {"1+2*3**2", "19"},
      {"-2**2", "4"},
      {"2**-1", "0.5"},
      {"7//2, -7//2, 7%3, -7%3, 7%-3", "(3, -4, 1, 2, -2)"},
      {"7/2", "3.5"},
      {"\"it's\"", "it's"},
      {"[\"it's\", 'a\"b', 'a\\'b\"c', 'x\\ny\\tz\\\\', 'é🎉']",
       "[\"it's\", 'a\"b', 'a\\'b\"c', 'x\\ny\\tz\\\\', 'é🎉']"},
      {"'a' 'b' \"c\"", "abc"},
      {"[1,2,3,4,5][1:4:2], [1,2,3,4,5][::-2], [1,2,3][10:], [1,2,3][-10:2], [1,2,3][2:0:-1]",
       "([2, 4], [5, 3, 1], [], [1, 2], [3, 2])"},
      {"1 in [1,2], 'a' not in 'abc', 'x' in {'x':1}, 3 not in (1,2)", "(True, False, True, True)"},
      {"not 1 == 2, not (true and false) or false", "(True, True)"},
      {"'a' if 0 else 'b', 'a' if 1, ('z' if 0)", "('b', 'a', Undefined)"},
      {"[1]+[2], (1,)+(2,), 'ab'*3, [1]*2, 3*'x', 'x'*0, 'x'*-1",
       "([1, 2], (1, 2), 'ababab', [1, 1], 'xxx', '', '')"},
      {"'%s' ", "%s"},
      {"{'items':5}['items']", "5"},
      {"\"a\\x41\\u0042\\U00000043\\101z\\q\"", "aABCAz\\q"},
      {"1_000, 0, 00", "(1000, 0, 0)"},
      {"[1,2,] , {'a':1,}, (1,)", "([1, 2], {'a': 1}, (1,))"},
      {"- 1 + 2", "1"},
      {"+3", "3"},
      {"not not true", "True"},
      {"'b' in 'abc' and 'z' not in 'abc'", "True"},
      {"true and 'yes' or 'no'", "yes"},
      {"false or none", "None"},
      {"(1, 2)[0]", "1"},
      {"[[1,2],[3,4]][1][0]", "3"},
      {"1 == 1 == 1, 1 < 2 == true", "(True, False)"},
      {"\"😀\" < \"z\", \"é\" > \"z\"", "(False, True)"},
      {"'a\\\\b'", "a\\b"},
      {"true + true, true ~ false", "(2, 'TrueFalse')"},
      {"'ab' 'cd'[1]", "b"},
  });
}

TEST(Jinja, MethodsAndTests) {
  expect_values({
      {"1.0", "1.0"},
      {"1e16, 1e15, 1.5e-5, 0.0001, 123456789.123",
       "(1e+16, 1000000000000000.0, 1.5e-05, 0.0001, 123456789.123)"},
      {"[1,'a',None,true,1.5,(1,),(1,2),{'a':1,'b':[2]}]",
       "[1, 'a', None, True, 1.5, (1,), (1, 2), {'a': 1, 'b': [2]}]"},
      {"'abc'[1], 'abc'[-1], 'abc'[5] is defined", "('b', 'c', False)"},
      {"1 < 2 < 3, 3 > 2 > 2, 1 == 1.0, true == 1, 'a' != 'b', none == none",
       "(True, False, True, True, True, True)"},
      {"1 is number, 1.0 is float, 1 is integer, true is integer, true is number, true is boolean, "
       "'a' is string, [] is sequence, {} is mapping, {} is sequence, 'a' is iterable, x is "
       "iterable",
       "(True, True, True, False, True, True, True, True, True, True, True, True)"},
      {"4 is even, 3 is odd, 9 is divisibleby 3, 9 is divisibleby(4), 1 is eq 1, 1 is ne 2, 2 is "
       "gt 1, 1 is lt(2), 'a' is in ['a'], 'a' is sameas 'a'",
       "(True, True, True, False, True, True, True, True, True, True)"},
      {"'abc' is lower, 'ABC' is upper, 'a1' is lower", "(True, True, True)"},
      {"'a,b,,c'.split(','), ' a  b c '.split(), 'a,b,c'.split(',', 1), 'a,b,c'.rsplit(',', 1), ' "
       "a  b c '.rsplit(none, 1), 'abc'.split('x')",
       "(['a', 'b', '', 'c'], ['a', 'b', 'c'], ['a', 'b,c'], ['a,b', 'c'], [' a  b', 'c'], "
       "['abc'])"},
      {"'a\\nb\\r\\nc\\n'.splitlines()", "['a', 'b', 'c']"},
      {"'hello'.find('l'), 'hello'.rfind('l'), 'hello'.find('z'), 'hello'.count('l'), "
       "'hello'.startswith('he'), 'hello'.endswith(('lo','x')), 'hello'.startswith(('x','y'))",
       "(2, 3, -1, 2, True, True, False)"},
      {"1 ~ 'a' ~ none ~ true ~ 1.5 ~ [1]", "1aNoneTrue1.5[1]"},
      {"messages[0].role, messages[0]['content'], messages[-1].nope is defined, messages[9] is "
       "defined, none.x is defined, 'a'.b is defined, (1).x is defined",
       "('system', 'S', False, False, False, False, False)"},
      {"{'a':1} == {'a':1.0}, [1,2] == [1,2], [1] == (1,), [1,2] < [1,3]",
       "(True, True, False, True)"},
      {"not x is defined", "True"},
      {"x is not defined and true", "True"},
      {"1 if x is not defined else 2", "1"},
      {"{'a': 1}.a", "1"},
      {"'isdigit12'.isdigit(), '12'.isdigit(), 'ab'.isalpha(), ' '.isspace(), 'A'.isupper(), "
       "'a1'.isalnum()",
       "(False, True, True, True, True, True)"},
      {"'foobar'.removeprefix('foo'), 'foobar'.removesuffix('bar')", "('bar', 'foo')"},
      {"'x' is string and 5 is number", "True"},
      {"['x','y'] is iterable", "True"},
      {"1e3, 1E3, 1.5e+3, 1e-7", "(1000.0, 1000.0, 1500.0, 1e-07)"},
      {"10 // 3.0, 10.5 % 3, -7.5 // 2, 2 ** 0.5 > 1.4", "(3.0, 1.5, -4.0, True)"},
      {"namespace(a=1).a", "1"},
      {"'' is defined, '' is none", "(True, False)"},
      {"1 is string, 1 is mapping", "(False, False)"},
      {"'A'.lower() == 'a'", "True"},
  });
}

TEST(Jinja, Filters) {
  expect_values({
      {"'héllo🎉x'[1:4], 'héllo🎉x'[::-1], 'héllo🎉x'[-2:], 'héllo🎉x'|length",
       "('éll', 'x🎉olléh', '🎉x', 7)"},
      {"x is defined, x is undefined, none is none, x is none, x|default('d'), none|default('d'), "
       "''|default('d', true)",
       "(False, True, True, False, 'd', None, 'd')"},
      {"'hello world'|title, \"it's a test-case (foo)\"|title, \"it's a test\"|capitalize, 'hello "
       "world'.title(), \"it's\".title(), 'hELLO'.capitalize()",
       "('Hello World', \"It's A Test-Case (Foo)\", \"It's a test\", 'Hello World', \"It'S\", "
       "'Hello')"},
      {"'  a b  '|trim, 'xxaxx'|trim('x'), '  a '.strip(), 'xyaxy'.lstrip('yx'), '\\u3000 "
       "a\\u00a0'.strip()",
       "('a b', 'a', 'a', 'axy', 'a')"},
      {"'aXbX'.replace('X','--'), 'aXbX'.replace('X','-',1), 'ab'.replace('','.'), "
       "'aaa'|replace('a','b',2)",
       "('a--b--', 'a-bX', '.a.b.', 'bba')"},
      {"'-'.join(['a','b']), [1,2]|join('-'), [1,2]|join, [{'a':1},{'a':2}]|join(',', "
       "attribute='a')",
       "('a-b', '1-2', '12', '1,2')"},
      {"[3,1,2]|sort, ['b','A','c']|sort, ['b','A','c']|sort(case_sensitive=true), "
       "[3,1,2]|sort(reverse=true), [{'a':2},{'a':1}]|sort(attribute='a')",
       "([1, 2, 3], ['A', 'b', 'c'], ['A', 'b', 'c'], [3, 2, 1], [{'a': 1}, {'a': 2}])"},
      {"['a','A','b']|unique|list, [1,1,2]|unique|list", "(['a', 'b'], [1, 2])"},
      {"[1,2,3]|first, []|first is defined, [1,2,3]|last, 'abc'|first, 'abc'|last",
       "(1, False, 3, 'a', 'c')"},
      {"[1,2,3]|sum, [1,2,3]|max, [1,2,3]|min, [1.5,2]|sum, ['b','a']|min", "(6, 3, 1, 3.5, 'a')"},
      {"[1,2,3]|map('string')|list, [{'a':1},{'b':2}]|map(attribute='a', default='z')|list, "
       "['a','b']|map('upper')|join",
       "(['1', '2', '3'], [1, 'z'], 'AB')"},
      {"[1,2,3,4]|select('even')|list, [1,2,3,4]|reject('even')|list, [0,1,'',2]|select|list, "
       "[1,2,3]|select('gt',1)|list",
       "([2, 4], [1, 3], [1, 2], [2, 3])"},
      {"[{'a':1},{'a':2},{'b':1}]|selectattr('a')|list, "
       "[{'a':1},{'a':2}]|selectattr('a','eq',2)|list, [{'a':1},{}]|rejectattr('a')|list, "
       "[{'a':1},{}]|selectattr('a','defined')|list",
       "([{'a': 1}, {'a': 2}], [{'a': 2}], [{}], [{'a': 1}])"},
      {"{'b':1,'a':2}|dictsort, {'b':1,'a':2}|dictsort(by='value'), {'b':1,'A':2}|dictsort(true), "
       "{'b':1,'a':2}|dictsort(reverse=true)",
       "([('a', 2), ('b', 1)], [('b', 1), ('a', 2)], [('A', 2), ('b', 1)], [('b', 1), ('a', 2)])"},
      {"{'a':1}|items|list, {'a':1}.items()|list, {'a':1,'b':2}.keys()|list, "
       "{'a':1}.values()|list, {'a':1}.get('a'), {'a':1}.get('z'), {'a':1}.get('z', 9)",
       "([('a', 1)], [('a', 1)], ['a', 'b'], [1], 1, None, 9)"},
      {"{'a':1,'é':'ü\"\\n','n':none,'t':true,'f':1.0,'l':[1,[],{}]}|tojson",
       "{\"a\": 1, \"é\": \"ü\\\"\\n\", \"n\": null, \"t\": true, \"f\": 1.0, \"l\": [1, [], {}]}"},
      {"{'a':1,'l':[1,[],{}]}|tojson(indent=2)",
       "{\n  \"a\": 1,\n  \"l\": [\n    1,\n    [],\n    {}\n  ]\n}"},
      {"{'b':1,'a':2}|tojson(sort_keys=true), [1,2]|tojson(separators=(',',':')), "
       "'é🎉'|tojson(ensure_ascii=true), 'a<b>&\\'c'|tojson",
       "('{\"a\": 2, \"b\": 1}', '[1,2]', '\"\\\\u00e9\\\\ud83c\\\\udf89\"', '\"a<b>&\\'c\"')"},
      {"'12'|int, 'x'|int, 'x'|int(7), '1.9'|int, 2.9|int, '1.5'|float, 'x'|float, true|int, ' 5 "
       "'|int",
       "(12, 0, 7, 1, 2, 1.5, 0.0, 1, 5)"},
      {"3.14159|round(2), 2.5|round, 3.5|round, 2.1|round(0,'ceil'), 2.9|round(method='floor'), "
       "-3|abs, -3.5|abs",
       "(3.14, 2.0, 4.0, 3.0, 2.0, 3, 3.5)"},
      {"'a\\nb\\n\\nc'|indent, 'a\\nb'|indent(2, true), 'a\\n\\nb'|indent(2, blank=true), "
       "'a\\nb'|indent('>>'), ''|indent(2,true)",
       "('a\\n    b\\n\\n    c', '  a\\n  b', 'a\\n  \\n  b', 'a\\n>>b', '  ')"},
      {"[1,2]|length, 'héé'|length, {'a':1}|length, x|length, [1,2]|count", "(2, 3, 1, 0, 2)"},
      {"'abc'|reverse, [1,2]|reverse|list, 'abc'|list, {'a':1}|list",
       "('cba', [2, 1], ['a', 'b', 'c'], ['a'])"},
      {"'abc'|upper, 'ÀÉ'|lower, 'straße'|length", "('ABC', 'àé', 6)"},
      {"range(3)|list, range(1,7,2)|list, range(3,0,-1)|list, range(0)|list",
       "([0, 1, 2], [1, 3, 5], [3, 2, 1], [])"},
      {"dict(a=1)['a'], dict({'x':2}, y=3)|tojson", "(1, '{\"x\": 2, \"y\": 3}')"},
      {"messages|map(attribute='role')|join(','), "
       "messages|selectattr('role','equalto','user')|list|length",
       "('system,user', 1)"},
      {"{'a':{'b':[10,20]}}|map('upper')|list, [{'a':{'b':[10,20]}}]|map(attribute='a.b.1')|list",
       "(['A'], [20])"},
      {"'Hello' 'x'|upper", "HELLOX"},
      {"-1|abs", "1"},
      {"'a'.upper().lower()|upper", "A"},
      {"'a b'.split()[1]|upper", "B"},
      {"'abc'|replace('b', 5)", "a5c"},
      {"'a'|string|length, 5|string ~ 'x'", "(1, '5x')"},
      {"[none, 1, 'a']|map('default', 'z')|list", "[None, 1, 'a']"},
      {"'a,b'|list", "['a', ',', 'b']"},
      {"'a'|safe", "a"},
      {"{}|first is defined", "False"},
      {"\"\"|trim == ''", "True"},
  });
}

TEST(Jinja, TypeErrorsAreErrors) {
  for (const char* expression : {
           "a.b",
           "x + 1",
           "x.y",
           "none + 1",
           "'a' + 1",
           "[1] + (2,)",
           "'a' < 1",
           "1 in 2",
           "none|length",
           "5|first",
           "x[0]",
           "x['a']",
       }) {
    EXPECT_THROW(render("{{ " + std::string(expression) + " }}"), Error) << expression;
  }
}

// More than jinja2: its select and map give generators, which nothing but a loop or a filter can
// use.
TEST(Jinja, SelectAndMapGiveLists) {
  expect_values({{"[1, 2, 3] | select('odd') | length", "2"},
                 {"(messages | map(attribute='role'))[1]", "user"},
                 {"[1, 2] | map('string')", "['1', '2']"}});
}

// Slices cut like a list of characters, for every small text, bound and step.
TEST(Jinja, SlicesOfTextAreSlicesOfItsCharacters) {
  Random random(3, Stream::Test);
  const std::vector<std::string> alphabet = {"a", "é", "世", "🎉"};
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (std::int64_t n = random.range(0, 6); n > 0; --n) {
      text += alphabet[static_cast<std::size_t>(random.range(0, 3))];
    }
    const auto bound = [&] {
      return random.range(0, 3) == 0 ? "" : format("{}", random.range(-8, 8));
    };
    const std::int64_t step = random.range(0, 1) == 0 ? random.range(1, 3) : random.range(-3, -1);
    const std::string slice = "[" + bound() + ":" + bound() + ":" + format("{}", step) + "]";
    const std::string quoted = "'" + text + "'";
    ASSERT_EQ(render("{{ " + quoted + slice + " }}"),
              render("{{ (" + quoted + " | list)" + slice + " | join }}"))
        << text << slice;
  }
}

// split and join, and replace written with them, undo and match each other on random texts.
TEST(Jinja, SplitJoinReplaceAgree) {
  Random random(4, Stream::Test);
  const std::vector<std::string> alphabet = {"a", "b", "ab", "é", " ", "\n"};
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (std::int64_t n = random.range(0, 12); n > 0; --n) {
      text += alphabet[static_cast<std::size_t>(random.range(0, 5))];
    }
    const std::string cut = alphabet[static_cast<std::size_t>(random.range(0, 3))];
    std::string joined, dashed;
    bool first = true;
    for (const std::string_view part : jinja::split_on(text, cut, -1, false)) {
      if (!first) {
        joined += cut;
        dashed += "-";
      }
      first = false;
      joined += part;
      dashed += part;
    }
    ASSERT_EQ(joined, text);
    ASSERT_EQ(jinja::replace(text, cut, "-", -1), dashed);
    ASSERT_EQ(jinja::split_on(text, cut, -1, true).size(),
              jinja::split_on(text, cut, -1, false).size());
  }
}

TEST(Jinja, IllFormedTextPassesThrough) {
  ChatContext context;
  context.messages = {{"user", "a\xFF\xC3 b\x80"}};
  const auto chat =
      ChatTemplate::parse("{{ messages[0].content | upper }}{{ messages[0].content | length }}");
  EXPECT_EQ(chat.render(context),
            "A\xFF\xC3 B\x80"
            "6");
}

}  // namespace
}  // namespace tinderbox
