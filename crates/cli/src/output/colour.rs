//! The colours of an answer.

/// What a piece of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Key,
    Text,
    Number,
    Bool,
    /// `null`, emptiness and remarks.
    Faint,
    Heading,
    /// Brackets, commas, borders, and texts where everything is one.
    Plain,
}

/// Paints pieces, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    pub is_on: bool,
}

impl Palette {
    /// Appends a piece in its colour.
    pub fn push(self, out: &mut String, role: Role, text: &str) {
        let code = match role {
            Role::Key => "1;34",
            Role::Text => "32",
            Role::Number => "33",
            Role::Bool => "36",
            Role::Faint => "2",
            Role::Heading => "1",
            Role::Plain => "",
        };
        if !self.is_on || code.is_empty() || text.is_empty() {
            return out.push_str(text);
        }
        for part in ["\u{1b}[", code, "m", text, "\u{1b}[0m"] {
            out.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_painted_only_when_asked() {
        let mut out = String::new();
        Palette { is_on: true }.push(&mut out, Role::Number, "1");
        Palette { is_on: false }.push(&mut out, Role::Number, "2");
        assert_eq!(out, "\u{1b}[33m1\u{1b}[0m2");
    }
}
