#include "model/jinja_parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "model/jinja_expressions.h"
#include "model/jinja_lexer.h"

namespace tinderbox::jinja {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view source) : in_(lex(source)) {}

  Program run() {
    Program program;
    program.loop = in_.intern("loop");
    program.caller = caller_ = in_.intern("caller");
    program.body = block({});
    if (!in_.is(TokenKind::End)) in_.fail("this tag closes nothing");
    program.names = in_.names();
    return program;
  }

 private:
  using StmtPtr = std::unique_ptr<Stmt>;

  // Statements up to the end or to a tag whose first word is one of `ends`; the cursor then stands
  // on that word.
  Block block(std::initializer_list<std::string_view> ends);
  StmtPtr statement();
  StmtPtr for_loop();
  StmtPtr if_chain();
  StmtPtr set();
  StmtPtr macro();
  StmtPtr call();
  StmtPtr filter();
  void parameters(MacroNode& macro);
  std::vector<int> names();

  StmtPtr make(StmtKind kind) const {
    auto out = std::make_unique<Stmt>();
    out->kind = kind;
    out->line = in_.peek().line;
    return out;
  }
  void end_tag() { in_.expect(TokenKind::BlockEnd, {}, "%}"); }
  // Takes `word` and the end of its tag.
  void close(std::string_view word) {
    in_.expect(TokenKind::Name, word, format("{{% {} %}}", word));
    end_tag();
  }

  ExpressionParser in_;
  int caller_ = 0;
  int loops_ = 0;  // for tags around the cursor, within the innermost macro
};

Block Parser::block(std::initializer_list<std::string_view> ends) {
  const ExpressionParser::Nesting nesting(in_);
  Block out;
  for (;;) {
    if (in_.is(TokenKind::End)) {
      if (ends.size() == 0) return out;
      in_.fail(format("the template ends before {{% {} %}}", *(ends.end() - 1)));
    }
    if (in_.is(TokenKind::Data)) {
      StmtPtr data = make(StmtKind::Data);
      data->text = std::make_shared<const std::string>(in_.take().text);
      out.push_back(std::move(data));
    } else if (in_.accept(TokenKind::PrintBegin)) {
      StmtPtr print = make(StmtKind::Print);
      print->value = in_.tuple_or_expression();
      in_.expect(TokenKind::PrintEnd, {}, "}}");
      out.push_back(std::move(print));
    } else {
      in_.expect(TokenKind::BlockBegin, {}, "a tag");
      const bool ended = std::ranges::any_of(
          ends, [&](std::string_view word) { return in_.is(TokenKind::Name, word); });
      if (ended) return out;
      out.push_back(statement());
    }
  }
}

Parser::StmtPtr Parser::statement() {
  if (!in_.is(TokenKind::Name)) in_.fail("expected a tag's name");
  const std::string word = in_.peek().text;
  if (word == "for") return for_loop();
  if (word == "if") return if_chain();
  if (word == "set") return set();
  if (word == "macro") return macro();
  if (word == "call") return call();
  if (word == "filter") return filter();
  if (word == "break" || word == "continue") {
    if (loops_ == 0) in_.fail(format("{{% {} %}} stands outside a loop", word));
    StmtPtr out = make(word == "break" ? StmtKind::Break : StmtKind::Continue);
    close(word);
    return out;
  }
  if (word == "generation") {
    StmtPtr out = make(StmtKind::Scoped);
    close(word);
    out->body = block({"endgeneration"});
    close("endgeneration");
    return out;
  }
  constexpr std::array kKnown = {"include", "import", "from",       "extends", "block",
                                 "with",    "do",     "autoescape", "trans",   "debug"};
  if (std::ranges::find(kKnown, word) != kKnown.end()) {
    in_.unsupported(format("the tag '{}' is outside the subset", word));
  }
  in_.fail(format(
      "'{}' is not a tag{}", word,
      word.starts_with("end") || word == "else" || word == "elif" ? " that can stand here" : ""));
}

// Variables to unpack into, as in `for key, value in`; brackets may surround them.
std::vector<int> Parser::names() {
  const bool brackets = in_.accept(TokenKind::Operator, "(");
  std::vector<int> targets;
  do {
    targets.push_back(in_.intern(in_.expect(TokenKind::Name, {}, "a variable's name").text));
  } while (in_.accept(TokenKind::Operator, ",") && in_.is(TokenKind::Name) &&
           !in_.is(TokenKind::Name, "in"));
  if (brackets) in_.expect(TokenKind::Operator, ")", "')'");
  return targets;
}

Parser::StmtPtr Parser::for_loop() {
  StmtPtr out = make(StmtKind::For);
  in_.take();
  out->targets = names();
  in_.expect(TokenKind::Name, "in", "'in'");
  out->value = in_.without_condition();
  if (in_.is(TokenKind::Operator, ",")) in_.unsupported("write the items of a for in brackets");
  if (in_.accept(TokenKind::Name, "if")) out->condition = in_.expression();
  if (in_.is(TokenKind::Name, "recursive"))
    in_.unsupported("recursive loops are outside the subset");
  end_tag();
  ++loops_;
  out->body = block({"else", "endfor"});
  --loops_;
  if (in_.accept(TokenKind::Name, "else")) {
    end_tag();
    out->otherwise = block({"endfor"});
  }
  close("endfor");
  return out;
}

Parser::StmtPtr Parser::if_chain() {
  StmtPtr out = make(StmtKind::If);
  do {
    in_.take();
    ExprPtr condition = in_.tuple_or_expression();
    end_tag();
    out->branches.emplace_back(std::move(condition), block({"elif", "else", "endif"}));
  } while (in_.is(TokenKind::Name, "elif"));
  if (in_.accept(TokenKind::Name, "else")) {
    end_tag();
    out->otherwise = block({"endif"});
  }
  close("endif");
  return out;
}

Parser::StmtPtr Parser::set() {
  StmtPtr out = make(StmtKind::Set);
  in_.take();
  out->targets = names();
  if (out->targets.size() == 1 && in_.accept(TokenKind::Operator, ".")) {
    out->attribute = in_.expect(TokenKind::Name, {}, "an attribute's name").text;
  }
  if (in_.accept(TokenKind::Operator, "=")) {
    out->value = in_.tuple_or_expression();
    end_tag();
    return out;
  }
  if (out->targets.size() > 1) in_.fail("expected '='");
  out->kind = StmtKind::SetBlock;
  if (in_.accept(TokenKind::Operator, "|")) out->value = in_.filters(nullptr);
  end_tag();
  out->body = block({"endset"});
  close("endset");
  return out;
}

void Parser::parameters(MacroNode& macro) {
  in_.expect(TokenKind::Operator, "(", "'('");
  while (!in_.is(TokenKind::Operator, ")")) {
    const std::string name = in_.expect(TokenKind::Name, {}, "a parameter's name").text;
    macro.parameters.push_back(in_.intern(name));
    macro.parameter_names.push_back(name);
    if (in_.accept(TokenKind::Operator, "=")) {
      macro.defaults.push_back(in_.expression());
    } else if (!macro.defaults.empty()) {
      in_.fail("a parameter without a default may not follow one with a default");
    }
    if (!in_.accept(TokenKind::Operator, ",")) break;
  }
  in_.expect(TokenKind::Operator, ")", "',' or ')'");
}

Parser::StmtPtr Parser::macro() {
  StmtPtr out = make(StmtKind::MacroBlock);
  in_.take();
  out->macro = std::make_unique<MacroNode>();
  out->macro->caller = caller_;
  out->macro->name = in_.expect(TokenKind::Name, {}, "the macro's name").text;
  out->targets = {in_.intern(out->macro->name)};
  parameters(*out->macro);
  end_tag();
  const int loops = std::exchange(loops_, 0);
  out->macro->body = block({"endmacro"});
  loops_ = loops;
  close("endmacro");
  return out;
}

Parser::StmtPtr Parser::call() {
  StmtPtr out = make(StmtKind::CallBlock);
  in_.take();
  out->macro = std::make_unique<MacroNode>();
  out->macro->caller = caller_;
  out->macro->name = "caller";
  if (in_.is(TokenKind::Operator, "(")) parameters(*out->macro);
  out->value = in_.expression();
  if (out->value->kind != ExprKind::Call) in_.fail("{% call %} needs a macro's call");
  end_tag();
  const int loops = std::exchange(loops_, 0);
  out->macro->body = block({"endcall"});
  loops_ = loops;
  close("endcall");
  return out;
}

Parser::StmtPtr Parser::filter() {
  StmtPtr out = make(StmtKind::FilterBlock);
  in_.take();
  out->value = in_.filters(nullptr);
  end_tag();
  out->body = block({"endfilter"});
  close("endfilter");
  return out;
}

}  // namespace

Program parse(std::string_view source) {
  if (source.size() > kSourceBytesMax) {
    throw_too_large(format("chat template: {} bytes, more than the {} KiB that are read",
                           source.size(), kSourceBytesMax >> 10));
  }
  return Parser(source).run();
}

}  // namespace tinderbox::jinja
