//! The **names** that a template uses but does not define: variables, functions, filters and tests.
//!
//! Only a `for` and a `with` hide what was set inside them; `if`, `filter` and `autoescape` do not. That is how minijinja
//! renders. Its own `undeclared_variables` reports variables that an `if` has set, misses the last `x` of `{% set x = x %}`, the
//! `x` of `x[1:]` and the arguments of `{% filter %}`, and returns no positions.

use std::collections::HashSet;

use crate::token::{Keyword, Kind, Tag, Token, tags};

/// One use of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'t> {
    pub(crate) role: Role,
    pub(crate) text: &'t str,
    /// Its byte position in the template.
    pub(crate) at: usize,
}

/// How a name is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Variable,
    /// The member of a variable: `person.name`, `person["name"]`.
    Inside,
    Function,
    Method,
    Filter,
    Test,
    /// `autoescape`: minijinja supports it, and campanile does not.
    Statement,
}

/// The names that a template uses but does not define, in order.
pub(crate) fn names(source: &str) -> Vec<Name<'_>> {
    let mut walk = Walk {
        source,
        found: Vec::new(),
        scopes: vec![HashSet::new()],
        blocks: Vec::new(),
    };
    for tag in tags(source) {
        walk.tag(&tag);
    }
    walk.found
}

struct Walk<'t> {
    source: &'t str,
    found: Vec<Name<'t>>,
    scopes: Vec<HashSet<&'t str>>,
    blocks: Vec<Block>,
}

/// An open block, as far as it matters for its `else` and its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// A `for` or `with`, with its own names.
    Scoped,
    /// An `if`, or a `for` after its `else`.
    Plain,
}

/// Keywords of the language, which are never variables.
const WORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "True", "false", "False", "none", "None",
];

impl<'t> Walk<'t> {
    fn tag(&mut self, tag: &Tag<'t>) {
        let tokens = tag.tokens.as_slice();
        let Some(Keyword { word, at }) = tag.keyword else {
            return self.expression(tokens);
        };
        match word {
            "for" => self.for_loop(tokens),
            "with" => self.with(tokens),
            "set" => self.set(tokens),
            "autoescape" => {
                self.find(at, word, Role::Statement);
                self.expression(tokens);
            }
            "filter" => {
                let arguments = self.callee(tokens, 0, Role::Filter);
                self.expression(&tokens[arguments..]);
            }
            "if" => {
                self.expression(tokens);
                self.blocks.push(Block::Plain);
            }
            "else" => {
                if self.blocks.last() == Some(&Block::Scoped) {
                    self.close();
                    self.blocks.push(Block::Plain);
                }
            }
            "endfor" | "endwith" | "endif" => self.close(),
            _ => self.expression(tokens),
        }
    }

    fn for_loop(&mut self, tokens: &[Token<'t>]) {
        let (targets, rest) = split(tokens, Kind::Name("in"));
        let rest = match rest {
            [rest @ .., last] if last.kind == Kind::Name("recursive") => rest,
            rest => rest,
        };
        let (items, condition) = split(rest, Kind::Name("if"));
        self.expression(items);
        self.open();
        self.declare("loop");
        self.assign(targets);
        self.expression(condition);
    }

    fn with(&mut self, tokens: &[Token<'t>]) {
        self.open();
        let mut rest = tokens;
        while !rest.is_empty() {
            let (assignment, others) = split(rest, Kind::Symbol(","));
            self.assignment(assignment);
            rest = others;
        }
    }

    fn set(&mut self, tokens: &[Token<'t>]) {
        // `{% set x | upper %} .. {% endset %}` has no `=`.
        if split(tokens, Kind::Symbol("=")).1.is_empty() {
            let (targets, _) = split(tokens, Kind::Symbol("|"));
            self.assign(targets);
            return self.expression(&tokens[targets.len()..]);
        }
        self.assignment(tokens);
    }

    fn assignment(&mut self, tokens: &[Token<'t>]) {
        let (targets, value) = split(tokens, Kind::Symbol("="));
        self.expression(value);
        self.assign(targets);
    }

    /// Declares the targets of an assignment. `namespace.attribute` assigns to a variable that must exist.
    fn assign(&mut self, targets: &[Token<'t>]) {
        let dotted = targets.iter().any(|token| token.kind == Kind::Symbol("."));
        if dotted {
            return self.expression(targets);
        }
        for token in targets {
            if let Kind::Name(name) = token.kind {
                self.declare(name);
            }
        }
    }

    fn expression(&mut self, tokens: &[Token<'t>]) {
        let mut open_brackets = 0_usize;
        let mut i = 0;
        while i < tokens.len() {
            let next = tokens.get(i + 1).map(|token| token.kind);
            match tokens[i].kind {
                Kind::Symbol("|") => {
                    i = self.callee(tokens, i + 1, Role::Filter);
                    continue;
                }
                Kind::Name("is") if i > 0 && matches!(next, Some(Kind::Name(_))) => {
                    let negated = usize::from(next == Some(Kind::Name("not")));
                    i = self.callee(tokens, i + 1 + negated, Role::Test);
                    continue;
                }
                Kind::Symbol(".") => {
                    self.attribute(tokens, i + 1);
                    i += 1;
                }
                Kind::Symbol("(" | "[" | "{") => open_brackets += 1,
                Kind::Symbol(")" | "]" | "}") => open_brackets = open_brackets.saturating_sub(1),
                Kind::Name(name) if !WORDS.contains(&name) => {
                    let is_argument_name = open_brackets > 0 && next == Some(Kind::Symbol("="));
                    if !is_argument_name && !self.declares(name) {
                        self.find(tokens[i].at, name, called(next, Role::Function));
                        self.inside(&tokens[i..]);
                    }
                }
                _ => {}
            }
            i += 1;
        }
    }

    /// Records the members of the variable with which the tokens begin.
    fn inside(&mut self, tokens: &[Token<'t>]) {
        let [variable, symbol, asked, rest @ ..] = tokens else {
            return;
        };
        let end = match (symbol.kind, asked.kind) {
            (Kind::Symbol("."), Kind::Name(name)) => asked.at + name.len(),
            (Kind::Symbol("["), Kind::Text(text)) => asked.at + text.len() + "''".len(),
            _ => return,
        };
        let is_call = rest
            .first()
            .is_some_and(|token| token.kind == Kind::Symbol("("));
        if !is_call && let Some(text) = self.source.get(variable.at..end) {
            self.find(asked.at, text, Role::Inside);
        }
    }

    /// Records `.name(..)`; only `loop` has methods.
    fn attribute(&mut self, tokens: &[Token<'t>], at: usize) {
        let next = tokens.get(at + 1).map(|token| token.kind);
        let of_loop = at >= 2
            && tokens[at - 2].kind == Kind::Name("loop")
            && !(at >= 3 && tokens[at - 3].kind == Kind::Symbol("."));
        if let Some(&token) = tokens.get(at)
            && let Kind::Name(name) = token.kind
            && called(next, Role::Method) == Role::Method
            && !of_loop
        {
            self.find(token.at, name, Role::Method);
        }
    }

    /// Records the filter or test that is named here, including dots, and returns the tokens after the name.
    fn callee(&mut self, tokens: &[Token<'t>], at: usize, role: Role) -> usize {
        let kind = |i: usize| tokens.get(i).map(|token| token.kind);
        let Some(Kind::Name(first)) = kind(at) else {
            return at.min(tokens.len());
        };
        let begin = tokens[at].at;
        let (mut end, mut after) = (begin + first.len(), at + 1);
        while let (Some(Kind::Symbol(".")), Some(Kind::Name(name))) = (kind(after), kind(after + 1))
        {
            end = tokens[after + 1].at + name.len();
            after += 2;
        }
        let text = &self.source[begin..end];
        self.find(tokens[at].at, text, role);
        if role == Role::Filter && kind(after) == Some(Kind::Symbol("(")) {
            self.named_in_arguments(text, &tokens[after + 1..]);
        }
        after
    }

    /// `map("upper")` and `select("odd")` name a filter and a test in a string.
    fn named_in_arguments(&mut self, filter: &str, arguments: &[Token<'t>]) {
        let (role, position) = match filter {
            "map" => (Role::Filter, 0),
            "select" | "reject" => (Role::Test, 0),
            "selectattr" | "rejectattr" => (Role::Test, 2),
            _ => return,
        };
        let leading_text = arguments
            .first()
            .is_some_and(|token| matches!(token.kind, Kind::Text(_)));
        if let Some(&token) = arguments.get(position)
            && let Kind::Text(name) = token.kind
            && leading_text
        {
            self.find(token.at, name, role);
        }
    }

    fn find(&mut self, at: usize, text: &'t str, role: Role) {
        self.found.push(Name { role, text, at });
    }

    fn open(&mut self) {
        self.scopes.push(HashSet::new());
        self.blocks.push(Block::Scoped);
    }

    fn close(&mut self) {
        if self.blocks.pop() == Some(Block::Scoped) {
            self.scopes.pop();
        }
    }

    fn declare(&mut self, name: &'t str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name);
        }
    }

    fn declares(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }
}

/// This role if the next token opens an argument list, and a variable if not.
fn called(next: Option<Kind<'_>>, role: Role) -> Role {
    if next == Some(Kind::Symbol("(")) {
        role
    } else {
        Role::Variable
    }
}

/// The tokens before and after the first such token outside of brackets.
fn split<'s, 't>(tokens: &'s [Token<'t>], at: Kind<'_>) -> (&'s [Token<'t>], &'s [Token<'t>]) {
    let mut open_brackets = 0_usize;
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            kind if open_brackets == 0 && kind == at => return (&tokens[..i], &tokens[i + 1..]),
            Kind::Symbol("(" | "[" | "{") => open_brackets += 1,
            Kind::Symbol(")" | "]" | "}") => open_brackets = open_brackets.saturating_sub(1),
            _ => {}
        }
    }
    (tokens, &[])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn used(role: Role, source: &str) -> Vec<&str> {
        let names = names(source).into_iter();
        names
            .filter(|name| name.role == role)
            .map(|name| name.text)
            .collect()
    }

    #[test]
    fn variables_are_found_wherever_an_expression_is_allowed() {
        assert_eq!(
            used(
                Role::Variable,
                "{{ a }}{{ b.c.d }}{{ e[f] }}{{ g | default(h) }}{{ i is divisibleby j }}{{ {'k': l} }}\
                 {% if m and not n %}{% elif o in p %}{% endif %}{{ q if r else s }}{{ dict(t=u) | length }}\
                 {% autoescape v %}{% endautoescape %}{% do w(x) %}{{ -y ** z }}"
            ),
            [
                "a", "b", "e", "f", "g", "h", "i", "j", "l", "m", "n", "o", "p", "q", "r", "s",
                "u", "v", "x", "y", "z"
            ]
        );
    }

    #[test]
    fn a_name_that_the_template_defines_is_not_reported_where_minijinja_sees_it() {
        let own = [
            "{% for x in [1] %}{{ x }}{{ loop.index }}{% endfor %}",
            "{% for x, y in {'a': 1} | items %}{{ x }}{{ y }}{% else %}{% endfor %}",
            "{% for x in [1] if x %}{% endfor %}",
            "{% with x = 1, y = x %}{{ y }}{% endwith %}",
            "{% set x = 1 %}{% set x = x + 1 %}{{ x }}",
            "{% set x %}..{% endset %}{{ x }}",
            "{% set x | upper %}..{% endset %}{{ x }}",
            "{% set n = namespace() %}{% set n.total = 1 %}{{ n.total }}",
            "{% if true %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}",
            "{% filter upper %}{% set x = 1 %}{% endfilter %}{{ x }}",
            "{% for y in [] %}{% else %}{% set x = 1 %}{% endfor %}{{ x }}",
            "{% for y in [[1]] recursive %}{{ loop(y) if y is iterable }}{% endfor %}",
        ];
        for source in own {
            assert_eq!(used(Role::Variable, source), [""; 0], "{source}");
        }
    }

    #[test]
    fn a_name_that_minijinja_would_not_see_is_reported() {
        assert_eq!(used(Role::Variable, "{% set x = x %}"), ["x"]);
        assert_eq!(used(Role::Variable, "{{ x[y:z] }}"), ["x", "y", "z"]);
        assert_eq!(used(Role::Variable, "{% with x = x %}{% endwith %}"), ["x"]);
        assert_eq!(used(Role::Variable, "{% for x in x %}{% endfor %}"), ["x"]);
        assert_eq!(
            used(Role::Variable, "{% for x in [1] %}{% endfor %}{{ x }}"),
            ["x"]
        );
        assert_eq!(
            used(
                Role::Variable,
                "{% for x in [1] %}{% else %}{{ x }}{% endfor %}"
            ),
            ["x"]
        );
        assert_eq!(
            used(Role::Variable, "{% with x = 1 %}{% endwith %}{{ x }}"),
            ["x"]
        );
        assert_eq!(used(Role::Variable, "{% set a.b = 1 %}"), ["a"]);
        assert_eq!(used(Role::Variable, "{{ loop.index }}"), ["loop"]);
    }

    #[test]
    fn filters_and_tests_are_found_wherever_they_are_named() {
        assert_eq!(
            used(
                Role::Filter,
                "{{ a | upper | replace('x', y | trim) }}{% filter lower | title %}{% endfilter %}\
                 {% set b | indent(2) %}{% endset %}{{ c | map('round') | map(attribute='d') }}{{ e|f.g }}"
            ),
            [
                "upper", "replace", "trim", "lower", "title", "indent", "map", "round", "map",
                "f.g"
            ]
        );
        assert_eq!(
            used(
                Role::Test,
                "{{ a is defined }}{{ a is not none and b is eq 3 }}{{ c | select('odd') | rejectattr('d', 'string') }}\
                 {{ e | selectattr('active') }}"
            ),
            ["defined", "none", "eq", "odd", "string"]
        );
    }

    #[test]
    fn the_members_of_a_variable_are_found() {
        assert_eq!(
            used(
                Role::Inside,
                "{{ a.b.c }}{{ d['e'] }}{{ f[0] }}{{ g.h() }}{% for x in y.z %}{{ x.y }}{% endfor %}{{ 1 + (i.j) }}"
            ),
            ["a.b", "d['e'", "y.z", "i.j"]
        );
    }

    #[test]
    fn functions_and_methods_are_distinguished_from_variables() {
        let source = "{{ f(1) }}{{ a.b(2) }}{% for x in y %}{{ loop.cycle(1, 2) }}{% endfor %}{{ (c) }}{{ not (d) }}";
        assert_eq!(used(Role::Function, source), ["f"]);
        assert_eq!(used(Role::Method, source), ["b"]);
        assert_eq!(used(Role::Variable, source), ["a", "y", "c", "d"]);
        assert_eq!(
            used(Role::Function, "{% set f = range %}{{ f(3) }}"),
            [""; 0]
        );
    }

    #[test]
    fn an_autoescape_is_found_only_as_a_statement() {
        let source =
            "{%- autoescape a %}{{ autoescape }}{# {% autoescape b %} #}{% endautoescape %}";
        assert_eq!(used(Role::Statement, source), ["autoescape"]);
        assert_eq!(used(Role::Variable, source), ["a", "autoescape"]);
        assert_eq!(names(source)[0].at, 4);
    }

    #[test]
    fn minijinja_agrees_about_undeclared_variables() {
        let env = minijinja::Environment::new();
        let sources = [
            "{{ a }} {{ b.c }} {{ d | default(e) }} {{ f is sameas g }}",
            "{% for x in xs if x.ok %}{{ x.y }}{{ z }}{% else %}{{ w }}{% endfor %}",
            "{% with p = q, r = p %}{{ r }}{{ s }}{% endwith %}",
            "{% set m = n %}{{ m }}{% set (k, l) = o %}{{ k ~ l }}",
            "{{ range(t) }}{{ u[v] }}{{ {'h': i, j: 1} }}{{ [a1, (b1, c1)] }}",
            "{% filter replace('d1', 'x') %}{{ e1 }}{% endfilter %}{{ dict(f1=g1) }}",
            "{% raw %}{{ no }}{% endraw %}{# {{ no }} #}{{ '{{ no }}' }}{{- h1 -}}",
        ];
        for source in sources {
            let template = env.template_from_str(source).unwrap();
            let ours: BTreeSet<String> = names(source)
                .into_iter()
                .filter(|name| matches!(name.role, Role::Variable | Role::Function))
                .map(|name| name.text.to_owned())
                .collect();
            let theirs: BTreeSet<String> =
                template.undeclared_variables(false).into_iter().collect();
            assert_eq!(ours, theirs, "{source}");
        }
    }
}
