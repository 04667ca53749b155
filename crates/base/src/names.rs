//! Enums whose variants have names on the wire.

/// Implements `ALL`, `NAMES`, `as_str` and `parse` for an enum without fields, which may be declared in the same place.
#[macro_export]
macro_rules! names {
    ($(#[$attribute:meta])* $visibility:vis enum $type:ident {
        $($(#[$variant_attribute:meta])* $variant:ident = $name:literal,)*
    }) => {
        $(#[$attribute])*
        $visibility enum $type { $($(#[$variant_attribute])* $variant,)* }

        $crate::names! { $type { $($variant = $name,)* } }
    };
    ($type:ident { $($variant:ident = $name:literal,)* }) => {
        impl $type {
            /// All variants, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Names of all variants, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// Returns the name on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns the variant with this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
