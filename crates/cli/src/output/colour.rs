//! The colours of a response.

/// The role of a piece of output, which has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Key,
    Text,
    Number,
    Bool,
    /// `null`, empty values and remarks.
    Faint,
    Heading,
    /// Brackets, commas, borders, and text that needs no emphasis.
    Plain,
}

/// The switch between coloured and plain output.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    pub is_on: bool,
}

impl Palette {
    /// Appends a piece, coloured by its role if colours are on.
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
    fn pieces_are_coloured_only_if_colours_are_on() {
        let mut out = String::new();
        Palette { is_on: true }.push(&mut out, Role::Number, "1");
        Palette { is_on: false }.push(&mut out, Role::Number, "2");
        assert_eq!(out, "\u{1b}[33m1\u{1b}[0m2");
    }
}
