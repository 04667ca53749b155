//! Preferences of a browser: theme and time zone, each in a cookie.

use http::HeaderMap;

use crate::cookie::{SetCookie, cookie};
use crate::time::Zone;

/// Name of the cookie with the theme.
pub const THEME_COOKIE: &str = "orgplane-theme";
/// Name of the cookie with the time zone.
pub const TIME_ZONE_COOKIE: &str = "orgplane-time-zone";
/// Age after which a browser forgets a preference, in seconds.
const PREFERENCE_AGE: i64 = 400 * 86_400;

/// The theme of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// The theme that the browser prefers.
    #[default]
    System,
    /// Dark text on light ground.
    Light,
    /// Light text on dark ground.
    Dark,
}

impl Theme {
    /// All themes, in the order in which pages offer them.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Returns the word for the theme, in cookies and forms.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Returns the name of the theme for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// Returns the theme that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == word)
    }
}

/// Preferences of a browser.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// Theme of pages.
    pub theme: Theme,
    /// Time zone of times on pages.
    pub zone: Zone,
}

impl Preferences {
    /// Reads the preferences from the cookies of a request. Unknown values are the defaults: the browser's theme and UTC.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let theme = cookie(headers, THEME_COOKIE).and_then(Theme::parse);
        let zone = cookie(headers, TIME_ZONE_COOKIE).and_then(Zone::find);
        Self {
            theme: theme.unwrap_or_default(),
            zone: zone.unwrap_or_default(),
        }
    }

    /// Returns the cookies that store the preferences.
    #[must_use]
    pub fn cookies(&self) -> [SetCookie; 2] {
        let cookie = |name, value: &str| SetCookie::new(name, value).max_age(PREFERENCE_AGE);
        [
            cookie(THEME_COOKIE, self.theme.as_str()),
            cookie(TIME_ZONE_COOKIE, self.zone.name()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn of(cookies: &str) -> Preferences {
        let value = HeaderValue::from_str(cookies).expect("plain text");
        Preferences::of(&HeaderMap::from_iter([(header::COOKIE, value)]))
    }

    #[test]
    fn preferences_are_read_as_they_are_stored() {
        let preferences = Preferences {
            theme: Theme::Dark,
            zone: Zone::find("America/Argentina/Buenos_Aires").expect("a zone"),
        };
        let headers = preferences.cookies().map(|cookie| {
            let header = cookie.header().expect("a header");
            let text = header.to_str().expect("text").to_owned();
            text.split_once(';')
                .map(|(pair, _)| pair.to_owned())
                .expect("attributes")
        });
        let read = of(&headers.join("; "));
        assert_eq!(read.theme, Theme::Dark);
        assert_eq!(read.zone.name(), "America/Argentina/Buenos_Aires");
    }

    #[test]
    fn unknown_values_are_the_defaults() {
        let read = of("orgplane-theme=\"><script>; orgplane-time-zone=../../etc/passwd");
        assert_eq!(read.theme, Theme::System);
        assert_eq!(read.zone.name(), "UTC");
    }
}
