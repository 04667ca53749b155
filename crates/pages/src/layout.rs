//! Layouts: the frame of a page around its content.
//!
//! The content is a template of the caller. It is printed as it is, so it must come from a template, which escapes.

use std::fmt::Display;

use askama::Template;
use http::StatusCode;

use crate::{Html, Link, Notice, Preferences, Theme};

/// The person that a page is shown to.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Name, or the e-mail address where there is no name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// Name of the role in the organization.
    pub role: String,
}

/// A group of links in the navigation.
#[derive(Clone, Debug, Default)]
pub struct NavigationGroup {
    /// Heading; empty for none.
    pub title: String,
    /// Links.
    pub items: Vec<NavigationItem>,
}

/// A link in the navigation.
#[derive(Clone, Debug)]
pub struct NavigationItem {
    /// Text.
    pub label: String,
    /// Target.
    pub link: Link,
    /// True if the page is the target, or below it.
    pub is_current: bool,
}

/// A step of the trail from the first page to this one.
#[derive(Clone, Debug)]
pub struct Crumb {
    /// Text.
    pub label: String,
    /// Target.
    pub link: Link,
}

/// The layout of pages with navigation, for people who are signed in.
#[derive(Template)]
#[template(path = "shell.html")]
pub struct Shell<'a> {
    /// Title of the page.
    pub title: &'a str,
    /// Preferences of the browser.
    pub preferences: &'a Preferences,
    /// Name of the organization.
    pub organization: &'a str,
    /// Person that the page is shown to.
    pub person: &'a Person,
    /// Links to other pages.
    pub navigation: &'a [NavigationGroup],
    /// Trail to the page.
    pub trail: &'a [Crumb],
    /// Sentence about the outcome of what the person did.
    pub notice: Option<&'a Notice>,
    /// Time zone with its offset, such as `Europe/Berlin (UTC+01:00)`.
    pub zone: &'a str,
    /// Path and query of the page, to which a change of preferences returns.
    pub target: &'a str,
    /// Names of further scripts and style sheets among the assets, in the order in which they are loaded.
    pub scripts: &'a [&'a str],
    /// Content, from a template.
    pub content: &'a dyn Display,
}

impl Shell<'_> {
    /// Returns the first letter of the person's name.
    fn initial(&self) -> String {
        let letter = self
            .person
            .name
            .chars()
            .find(|letter| letter.is_alphanumeric());
        letter.map_or_else(|| "?".to_owned(), |letter| letter.to_uppercase().collect())
    }

    /// Renders the page.
    #[must_use]
    pub fn render(&self) -> Html {
        Html::render(self)
    }
}

/// The layout of pages without navigation: a card in the middle, as for sign-in.
#[derive(Template)]
#[template(path = "card.html")]
pub struct Card<'a> {
    /// Title of the page, and heading of the card.
    pub title: &'a str,
    /// Sentence below the heading; empty for none.
    pub introduction: &'a str,
    /// Preferences of the browser.
    pub preferences: &'a Preferences,
    /// Sentence about the outcome of what the person did.
    pub notice: Option<&'a Notice>,
    /// Content, from a template.
    pub content: &'a dyn Display,
}

impl Card<'_> {
    /// Renders the page.
    #[must_use]
    pub fn render(&self) -> Html {
        Html::render(self)
    }
}

/// A page about an error: the reason, and a way on.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    /// Status of the response.
    pub status: StatusCode,
    /// Title of the page, such as "This page does not exist".
    pub title: &'a str,
    /// Reason, and remedy.
    pub message: &'a str,
    /// Preferences of the browser.
    pub preferences: &'a Preferences,
    /// Link to a page from which the person can go on.
    pub way_on: Option<&'a Crumb>,
}

impl ErrorPage<'_> {
    /// Renders the page with its status.
    #[must_use]
    pub fn render(&self) -> Html {
        Html::render(self).status(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "</title><script>alert(1)</script>\u{202e}";

    #[test]
    fn names_in_the_frame_are_text() {
        let person = Person {
            name: EVIL.to_owned(),
            email: EVIL.to_owned(),
            role: EVIL.to_owned(),
        };
        let item = NavigationItem {
            label: EVIL.to_owned(),
            link: Link::new([EVIL]),
            is_current: true,
        };
        let navigation = [NavigationGroup {
            title: EVIL.to_owned(),
            items: vec![item],
        }];
        let trail = [Crumb {
            label: EVIL.to_owned(),
            link: Link::new([EVIL]),
        }];
        let notice = Notice::failure(EVIL).detail(EVIL);
        let preferences = Preferences::default();
        let shell = Shell {
            title: EVIL,
            preferences: &preferences,
            organization: EVIL,
            person: &person,
            navigation: &navigation,
            trail: &trail,
            notice: Some(&notice),
            zone: EVIL,
            target: EVIL,
            scripts: &[],
            content: &"<p>content</p>",
        };
        let card = Card {
            title: EVIL,
            introduction: EVIL,
            preferences: &preferences,
            notice: Some(&notice),
            content: &"<p>content</p>",
        };
        for html in [shell.render(), card.render()] {
            let html = html.text();
            assert!(html.contains("<p>content</p>"), "{html}");
            assert!(!html.contains("<script>"), "{html}");
            assert!(html.contains("&#60;script&#62;"), "{html}");
        }
    }

    #[test]
    fn a_chosen_theme_is_on_the_root_element() {
        let page = |theme| {
            let preferences = Preferences {
                theme,
                ..Preferences::default()
            };
            let page = ErrorPage {
                status: StatusCode::NOT_FOUND,
                title: "This page does not exist",
                message: "",
                preferences: &preferences,
                way_on: None,
            };
            page.render().text().to_owned()
        };
        assert!(page(Theme::Dark).contains("<html lang=\"en\" data-theme=\"dark\">"));
        assert!(page(Theme::Light).contains("<html lang=\"en\" data-theme=\"light\">"));
        assert!(page(Theme::System).contains("<html lang=\"en\">"));
    }

    #[test]
    fn no_layout_has_inline_script_or_style() {
        for template in [
            include_str!("../templates/document.html"),
            include_str!("../templates/shell.html"),
            include_str!("../templates/card.html"),
            include_str!("../templates/error.html"),
            include_str!("../templates/field.html"),
            include_str!("../templates/notice.html"),
        ] {
            for forbidden in ["<style", " style=", "<script>", " onclick", "javascript:"] {
                assert!(!template.contains(forbidden), "{forbidden} in {template}");
            }
        }
    }
}
