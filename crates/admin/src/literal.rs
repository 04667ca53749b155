//! Types of constant string fields, such as `object`. Serialization and schema of such a field cannot differ.

/// Declares a type for each string.
macro_rules! literals {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {$(
        $(#[$doc])*
        #[doc = concat!("Always `", $word, "`.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($word)
            }
        }

        base::inline_schema!($name, stringify!($name), |_| schemars::json_schema!({
            "type": "string", "const": $word,
        }));
    )*};
}

pub(crate) use literals;
