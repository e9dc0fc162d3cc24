//! The **words** of the page. Default: English.

use std::collections::BTreeMap;

use serde::Serialize;

/// The texts of the settings page. Start from the default, which is English, and change what is different.
///
/// ```
/// use campanile_web::{Settings, SettingsPage};
///
/// let mut page = SettingsPage::default();
/// page.lang = "de".into();
/// page.title = "Benachrichtigungen".into();
/// page.switch = "{channel} für {category}".into();
/// page.names.insert("team".into(), "Mannschaft".into());
/// let settings = Settings::default().page(page);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SettingsPage {
    /// The language of the words, as BCP 47 names it. It also decides the direction of the text.
    pub lang: String,
    /// The title and the heading.
    pub title: String,
    /// The text below the heading.
    pub intro: String,
    /// The target of the link back to the app, `/`; empty for no link.
    pub home: String,
    /// The text of the link back.
    pub back: String,
    /// The header of the column of categories.
    pub category: String,
    /// The header of the column that says what a category contains.
    pub about: String,
    /// The name of a switch, made of `{channel}` and `{category}`.
    pub switch: String,
    /// The text of a cell whose category does not use the channel.
    pub unused: String,
    /// Says that the switch `{switch}` is on.
    pub on: String,
    /// Says that the switch `{switch}` is off.
    pub off: String,
    /// Says that the change was saved.
    pub saved: String,
    /// Says that the change was not saved.
    pub failed: String,
    /// The reason if the settings were changed elsewhere.
    pub changed: String,
    /// The reason if the server cannot be reached.
    pub unreachable: String,
    /// The reason if the user is not signed in any more.
    pub signed_out: String,
    /// Any other reason.
    pub wrong: String,
    /// Why a switch cannot be turned off: all events of the category on `{channel}` are critical, `{events}`.
    pub always: String,
    /// Which events are still sent on `{channel}` when the switch is off: the critical ones, `{events}`.
    pub partly: String,
    /// The names of categories and channels for which capitalizing the id is not enough.
    pub names: BTreeMap<String, String>,
}

impl Default for SettingsPage {
    fn default() -> Self {
        Self {
            lang: "en".into(),
            title: "Notifications".into(),
            intro: "Choose what you want to hear about, and where. A change is saved at once."
                .into(),
            home: String::new(),
            back: "Back".into(),
            category: "Category".into(),
            about: "What it contains".into(),
            switch: "{channel} for {category}".into(),
            unused: "not used".into(),
            on: "{switch} is on.".into(),
            off: "{switch} is off.".into(),
            saved: "Saved".into(),
            failed: "Not saved".into(),
            changed:
                "The settings were changed elsewhere in the meantime. The current ones are shown."
                    .into(),
            unreachable: "The server cannot be reached.".into(),
            signed_out: "You are not signed in any more. Sign in, and open this page again.".into(),
            wrong: "Something went wrong. Try again later.".into(),
            always: "{channel} cannot be turned off here, because it is critical: {events}".into(),
            partly: "{channel} stays on for what is critical: {events}".into(),
            names: BTreeMap::new(),
        }
    }
}

/// The languages that are written from right to left.
const RIGHT_TO_LEFT: [&str; 9] = ["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ur", "yi"];

impl SettingsPage {
    /// The page in English, with a link back to the app.
    #[must_use]
    pub fn back_to(home: impl Into<String>) -> Self {
        Self {
            home: home.into(),
            ..Self::default()
        }
    }

    pub(super) fn direction(&self) -> &'static str {
        let language = self.lang.split('-').next().unwrap_or_default();
        if RIGHT_TO_LEFT.contains(&language.to_ascii_lowercase().as_str()) {
            "rtl"
        } else {
            "ltr"
        }
    }

    /// The name of a category or a channel for people: `role_changes` is "Role changes".
    pub(super) fn name(&self, of: &str) -> String {
        if let Some(name) = self.names.get(of) {
            return name.clone();
        }
        let words = of.replace(['_', '-', '.'], " ");
        capital(&words)
    }
}

/// The text with its first letter capitalized.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// Replaces the placeholders by texts. A placeholder inside a text stays as it is.
pub(super) fn fill(pattern: &str, texts: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let text = texts
            .iter()
            .find_map(|(place, text)| Some((rest.strip_prefix(place)?, *text)));
        if let Some((after, text)) = text {
            filled.push_str(text);
            rest = after;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_becomes_a_readable_name_unless_the_host_gives_one() {
        let mut page = SettingsPage::default();
        page.names.insert("sms".into(), "SMS".into());
        for (of, name) in [
            ("team", "Team"),
            ("role_changes", "Role changes"),
            ("sms", "SMS"),
            ("", ""),
        ] {
            assert_eq!(page.name(of), name);
        }
    }

    #[test]
    fn the_language_decides_the_direction() {
        for (lang, direction) in [
            ("en", "ltr"),
            ("ar", "rtl"),
            ("he-IL", "rtl"),
            ("AR-eg", "rtl"),
            ("", "ltr"),
        ] {
            let page = SettingsPage {
                lang: lang.into(),
                ..SettingsPage::default()
            };
            assert_eq!(page.direction(), direction, "{lang}");
        }
    }

    #[test]
    fn a_placeholder_inside_a_text_is_not_replaced() {
        let texts = [("{channel}", "{category}"), ("{category}", "Team")];
        assert_eq!(
            fill("{channel} for {category}{", &texts),
            "{category} for Team{"
        );
    }
}
