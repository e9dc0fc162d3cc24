//! Checks a **template** at compile time: that it parses, and that every name in it exists.
//!
//! It knows nothing about channels and HTML.

use std::collections::{HashMap, HashSet};

use minijinja::{Environment, Error, ErrorKind};

use crate::list::list;
use crate::names::{Name, Role, names};

/// A mistake in a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Counted from 1.
    pub(crate) line: usize,
    /// Counted from 1, in characters.
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// The names that a template may use: the fields of the event.
///
/// `None` without a struct: then every variable is accepted, because that mistake is reported elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vocabulary<'a> {
    /// The event's name in Rust.
    pub(crate) event: &'a str,
    pub(crate) fields: Option<&'a [String]>,
    /// The kinds of the fields without inner fields: `a text`, `a number`.
    pub(crate) plain: &'a HashMap<String, &'static str>,
}

/// All mistakes of one template. The same unknown name twice is one mistake.
pub(crate) fn mistakes(source: &str, vocabulary: Vocabulary<'_>) -> Vec<Mistake> {
    // The same filters, tests and functions as at run time: core adds none to minijinja's own, and removes `safe`.
    let mut env = Environment::new();
    env.remove_filter("safe");
    if let Err(error) = env.template_from_str(source) {
        let at = error.range().map_or(0, |range| range.start);
        return vec![mistake(source, at, does_not_parse(&error))];
    }
    let mut seen = HashSet::new();
    names(source)
        .into_iter()
        .filter(|name| seen.insert((name.role, name.text)))
        .filter_map(|name| {
            let message = unknown(name, &env, vocabulary)?;
            Some(mistake(source, name.at, message))
        })
        .collect()
}

pub(crate) fn mistake(source: &str, at: usize, message: String) -> Mistake {
    let before = source.get(..at).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Mistake {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message,
    }
}

fn does_not_parse(error: &Error) -> String {
    let detail = error.detail().unwrap_or("syntax error");
    match detail.strip_prefix("unknown statement ") {
        Some(word @ ("include" | "extends" | "block" | "import" | "from" | "macro" | "call")) => {
            format!(
                "`{word}` is not available: each template is one text of its own, and the layout around it belongs \
                 to the channel; write the text here"
            )
        }
        Some(word) if word.starts_with("end") || ["else", "elif"].contains(&word) => {
            format!(
                "the template does not parse: there is nothing open that `{word}` could belong to"
            )
        }
        Some(word) => format!(
            "the template does not parse: there is no statement `{word}`; there are {}",
            list(STATEMENTS)
        ),
        None => format!("the template does not parse: {detail}"),
    }
}

/// The list of filters and tests.
const DOCUMENTATION: &str = "https://docs.rs/minijinja/3/minijinja";

/// The statements that a template may begin with.
const STATEMENTS: [&str; 6] = ["for", "if", "set", "with", "filter", "raw"];

/// The problem with a name, if any.
fn unknown(name: Name<'_>, env: &Environment<'_>, vocabulary: Vocabulary<'_>) -> Option<String> {
    let text = name.text;
    match name.role {
        Role::Variable => unknown_variable(text, env, vocabulary),
        Role::Inside => nothing_inside(text, vocabulary),
        Role::Function => unknown_function(text, env, vocabulary),
        Role::Method if is_filter(env, text) => Some(format!(
            "a value has no methods; `{text}` is a filter: write `.. | {text}`"
        )),
        Role::Method => Some(format!(
            "a value has no methods, so `.{text}(..)` cannot be called"
        )),
        Role::Statement => Some(shows_as_text(text)),
        Role::Filter if text == "safe" => Some(shows_as_text(text)),
        Role::Filter if is_filter(env, text) => None,
        Role::Filter => Some(format!(
            "there is no filter `{text}`; there are those of minijinja: {DOCUMENTATION}/filters/"
        )),
        Role::Test if is_test(env, text) => None,
        Role::Test => Some(format!(
            "there is no test `{text}`; there are those of minijinja: {DOCUMENTATION}/tests/"
        )),
    }
}

/// The error for a construct that would print the payload as markup. Core checks it again at start-up.
fn shows_as_text(word: &str) -> String {
    format!(
        "`{word}` is not available: the payload is data and shows as text everywhere; put markup into the template itself"
    )
}

fn unknown_variable(
    text: &str,
    env: &Environment<'_>,
    vocabulary: Vocabulary<'_>,
) -> Option<String> {
    let Vocabulary { event, fields, .. } = vocabulary;
    let fields = fields?;
    if fields.iter().any(|field| field == text) || env.globals().any(|(global, _)| global == text) {
        return None;
    }
    let known = || fields.iter().map(String::as_str);
    let known = match fields.len() {
        0 => "it has none".to_owned(),
        1 => format!("its only field is {}", list(known())),
        _ => format!("its fields are {}", list(known())),
    };
    Some(format!("`{text}` is not a field of `{event}`; {known}"))
}

/// The refusal of `by.name` if `by` is a text.
fn nothing_inside(text: &str, vocabulary: Vocabulary<'_>) -> Option<String> {
    let (field, asked) = text.split_once(['.', '['])?;
    let field = field.trim();
    let what = vocabulary.plain.get(field)?;
    let asked = asked.trim().trim_matches(['"', '\'']);
    Some(format!(
        "`{field}` is {what}, and there is no `{asked}` in it; write `{{{{ {field} }}}}`"
    ))
}

fn unknown_function(
    text: &str,
    env: &Environment<'_>,
    vocabulary: Vocabulary<'_>,
) -> Option<String> {
    let mut functions: Vec<&str> = env.globals().map(|(global, _)| global).collect();
    functions.sort_unstable();
    if functions.contains(&text) {
        return None;
    }
    let fields = vocabulary.fields.unwrap_or_default();
    Some(if fields.iter().any(|field| field == text) {
        format!("`{text}` is a field and not a function; leave out the parentheses")
    } else if is_filter(env, text) {
        format!("there is no function `{text}`; it is a filter: write `.. | {text}`")
    } else {
        let functions = list(functions);
        format!("there is no function `{text}`; there are {functions}")
    })
}

fn is_filter(env: &Environment<'_>, name: &str) -> bool {
    let answer = env.empty_state().apply_filter(name, &[]);
    !answer.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter)
}

fn is_test(env: &Environment<'_>, name: &str) -> bool {
    let answer = env.empty_state().perform_test(name, &[]);
    !answer.is_err_and(|error| error.kind() == ErrorKind::UnknownTest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(source: &str) -> Vec<String> {
        let fields = ["org_name", "new_role", "count"].map(str::to_owned);
        let plain = HashMap::from([("org_name".to_owned(), "a text")]);
        let vocabulary = Vocabulary {
            event: "RoleChanged",
            fields: Some(&fields),
            plain: &plain,
        };
        mistakes(source, vocabulary)
            .into_iter()
            .map(|mistake| format!("{}:{}: {}", mistake.line, mistake.column, mistake.message))
            .collect()
    }

    #[test]
    fn a_variable_that_is_not_a_field_is_a_mistake() {
        assert_eq!(
            messages("{{ org_name }}\n  {{ new_rol }} {{ new_rol }}{{ colour }}"),
            [
                "2:6: `new_rol` is not a field of `RoleChanged`; its fields are `org_name`, `new_role`, `count`",
                "2:33: `colour` is not a field of `RoleChanged`; its fields are `org_name`, `new_role`, `count`",
            ]
        );
    }

    #[test]
    fn unknown_filters_tests_and_functions_are_mistakes() {
        assert_eq!(
            messages(
                "{{ org_name | uper }}{{ org_name is defind }}{{ rang(3) }}{{ upper(org_name) }}{{ count() }}"
            ),
            [
                "1:15: there is no filter `uper`; there are those of minijinja: https://docs.rs/minijinja/3/minijinja/filters/",
                "1:37: there is no test `defind`; there are those of minijinja: https://docs.rs/minijinja/3/minijinja/tests/",
                "1:49: there is no function `rang`; there are `debug`, `dict`, `namespace`, `range`",
                "1:62: there is no function `upper`; it is a filter: write `.. | upper`",
                "1:83: `count` is a field and not a function; leave out the parentheses",
            ]
        );
    }

    #[test]
    fn a_text_has_no_inner_fields() {
        assert_eq!(
            messages("{{ org_name.nam }}{{ new_role.nam }}{{ org_name['nam'] }}{{ org_name[:3] }}"),
            [
                "1:13: `org_name` is a text, and there is no `nam` in it; write `{{ org_name }}`",
                "1:49: `org_name` is a text, and there is no `nam` in it; write `{{ org_name }}`",
            ]
        );
    }

    #[test]
    fn methods_are_mistakes() {
        assert_eq!(
            messages("{{ org_name.upper() }}{{ org_name.to_uppercase() }}"),
            [
                "1:13: a value has no methods; `upper` is a filter: write `.. | upper`",
                "1:35: a value has no methods, so `.to_uppercase(..)` cannot be called",
            ]
        );
    }

    #[test]
    fn a_template_that_does_not_parse_is_one_mistake_with_its_place() {
        assert_eq!(
            messages("été\n{{ org_name "),
            [
                "2:4: the template does not parse: unexpected end of input, expected end of variable block"
            ]
        );
        assert_eq!(
            messages("{% endfor %}"),
            [
                "1:4: the template does not parse: there is nothing open that `endfor` could belong to"
            ]
        );
        assert_eq!(
            messages("{% fro x in y %}"),
            [
                "1:4: the template does not parse: there is no statement `fro`; there are `for`, `if`, `set`, `with`, `filter`, `raw`"
            ]
        );
    }

    #[test]
    fn a_template_cannot_include_another() {
        for word in ["include", "extends", "import"] {
            let found = messages(&format!("{{% {word} 'layout.html' %}}"));
            assert!(
                found[0].contains(&format!("`{word}` is not available")),
                "{found:?}"
            );
            assert!(found[0].contains("belongs to the channel"), "{found:?}");
        }
    }

    #[test]
    fn printing_the_payload_as_markup_is_a_mistake() {
        let advice = "is not available: the payload is data and shows as text everywhere; put markup into the template itself";
        assert_eq!(
            messages(
                "{{ org_name | safe }}\n{% autoescape false %}{{ new_role }}{% endautoescape %}"
            ),
            [
                format!("1:15: `safe` {advice}"),
                format!("2:4: `autoescape` {advice}"),
            ]
        );
        for source in [
            "{% filter upper | safe %}{% endfilter %}",
            "{% set x | safe %}{% endset %}",
            "{{ [org_name] | map('safe') }}",
        ] {
            assert!(messages(source)[0].contains(advice), "{source}");
        }
    }

    #[test]
    fn without_fields_only_variables_are_not_checked() {
        let vocabulary = Vocabulary {
            event: "Either",
            fields: None,
            plain: &HashMap::new(),
        };
        assert_eq!(mistakes("{{ anything | uper }}", vocabulary).len(), 1);
    }
}
