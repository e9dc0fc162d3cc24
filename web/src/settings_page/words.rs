//! The **words** of the page: English, unless the host gives others.

use std::collections::BTreeMap;

use serde::Serialize;

/// What the settings page says. Start from the default, which is English, and change what is different.
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
    /// The language of the words, as BCP 47 names it. It decides about the direction too.
    pub lang: String,
    /// The title and the heading.
    pub title: String,
    /// What stands below the heading.
    pub intro: String,
    /// Where the way back leads, `/`; empty: there is none.
    pub home: String,
    /// The name of the way back.
    pub back: String,
    /// The head of the column of categories.
    pub category: String,
    /// The head of the column that says what a category holds.
    pub about: String,
    /// The name of a switch, of `{channel}` and `{category}`.
    pub switch: String,
    /// Said where a category does not use a channel.
    pub unused: String,
    /// A switch that is on, `{switch}`.
    pub on: String,
    /// A switch that is off, `{switch}`.
    pub off: String,
    /// It was saved.
    pub saved: String,
    /// It was not saved.
    pub failed: String,
    /// Why: the settings were changed in another place.
    pub changed: String,
    /// Why: the server cannot be reached.
    pub unreachable: String,
    /// Why: nobody is signed in any more.
    pub signed_out: String,
    /// Why: anything else.
    pub wrong: String,
    /// Why a switch cannot be turned off: `{events}` are critical, and by this `{channel}` there are no others.
    pub always: String,
    /// To what turning a switch off does not apply: `{events}`.
    pub partly: String,
    /// The names of categories and channels, where making the first letter large is not enough.
    pub names: BTreeMap<String, String>,
}

impl Default for SettingsPage {
    fn default() -> Self {
        Self {
            lang: "en".into(),
            title: "Notifications".into(),
            intro: "Choose what you want to hear about, and where. A change is saved at once.".into(),
            home: String::new(),
            back: "Back".into(),
            category: "Category".into(),
            about: "What it holds".into(),
            switch: "{channel} for {category}".into(),
            unused: "not used".into(),
            on: "{switch} is on.".into(),
            off: "{switch} is off.".into(),
            saved: "Saved".into(),
            failed: "Not saved".into(),
            changed: "The settings were changed in another place meanwhile. They are shown as they are now.".into(),
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
    /// The page in English, with a way back to the app.
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

    /// A category or a channel as people read it: `role_changes` is "Role changes".
    pub(super) fn name(&self, of: &str) -> String {
        if let Some(name) = self.names.get(of) {
            return name.clone();
        }
        let words = of.replace(['_', '-', '.'], " ");
        capital(&words)
    }
}

/// The same text, beginning with a large letter.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// Puts texts into their places. A place in one of them stays as it is.
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
    fn a_name_is_read_by_people_and_a_host_knows_better() {
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
    fn a_language_has_a_direction() {
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
    fn a_text_that_looks_like_a_place_stays_text() {
        let texts = [("{channel}", "{category}"), ("{category}", "Team")];
        assert_eq!(
            fill("{channel} for {category}{", &texts),
            "{category} for Team{"
        );
    }
}
