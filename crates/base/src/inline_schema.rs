//! Types whose JSON Schema stands wherever they are used.

/// Implements `JsonSchema` for a type by its name and an expression of its schema; its generics follow `for`.
#[macro_export]
macro_rules! inline_schema {
    ($type:ty, $name:expr, |$generator:pat_param| $schema:expr $(; for $($generics:tt)+)?) => {
        impl $(<$($generics)*>)? schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
