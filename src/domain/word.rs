//! Facts that have one written name each: in JSON, in the database and in the OpenAPI document.

use std::fmt;

/// A text that names none of the variants. It is an error wherever it comes from: a guess would
/// relabel what was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownWord {
    pub text: String,
    /// What it should have named, as in "kind of job".
    pub what: &'static str,
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no {}; there are ", self.text, self.what)?;
        for (n, known) in self.known.iter().enumerate() {
            let between = match n {
                0 => "",
                n if n + 1 == self.known.len() => " and ",
                _ => ", ",
            };
            write!(f, "{between}{known}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownWord {}

/// Makes an enum whose variants have one written name each. Serde, `Display`, `FromStr` (which
/// `sqlx::types::Text` reads columns with) and, with the feature `openapi`, the schema of the
/// OpenAPI document all take the names from here.
///
/// `"kind of job"` says what the enum is in errors. `schema "Name": "text"` gives the schema's name
/// and description; an enum that is in no request or answer has neither.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident($what:literal $(, schema $schema:literal $(: $described:literal)?)?) {
            $($(#[$each:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$each])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// As it is written in JSON and in the database.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::word::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::word::UnknownWord {
                        text: text.to_owned(),
                        what: $what,
                        known: &[$($text),+],
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::word::UnknownWord;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        $($crate::word::schema!($name, $schema $(, $described)?);)?
    };
}

/// The schema of a type that is written as one of `ALL`.
macro_rules! schema {
    ($name:ident, $schema:literal $(, $described:literal)?) => {
        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some($name::ALL.map(|word| word.as_str())))
                    $(.description(Some($described)))?
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }
        }
    };
}

pub(crate) use {schema, words};

#[cfg(test)]
mod tests {
    words! {
        /// Of a traffic light.
        pub enum Light("light") {
            Red = "red",
            Amber = "yellow_red",
            Green = "green",
        }
    }

    #[test]
    fn names_read_back_and_others_are_refused() {
        for light in Light::ALL {
            assert_eq!(light.as_str().parse(), Ok(light));
            assert_eq!(light.to_string().try_into(), Ok(light));
            let json = serde_json::to_string(&light).expect("a string");
            assert_eq!(json, format!("\"{light}\""));
            assert_eq!(serde_json::from_str::<Light>(&json).ok(), Some(light));
        }
        let unknown = "Red".parse::<Light>().expect_err("another word");
        assert_eq!(
            unknown.to_string(),
            "\"Red\" is no light; there are red, yellow_red and green"
        );
        assert!(serde_json::from_str::<Light>("\"amber\"").is_err());
    }
}
