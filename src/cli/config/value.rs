//! One value of a configuration: read from TOML, from the environment or from a flag, and written again.
#![forbid(unsafe_code)]

use crate::api::Door;
use crate::cli::size;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeValue;

/// What stands behind a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<String>),
}

impl Value {
    /// A value as TOML has it.
    pub(crate) fn of_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Ok(Self::Text(text.to_string())),
            DeValue::Boolean(flag) => Ok(Self::Flag(*flag)),
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .map(Self::Number)
                .map_err(|_| format!("{number} is not a number from 0 to {}", u64::MAX)),
            DeValue::Array(values) => {
                let text = |value: &DeValue<'_>| match value {
                    DeValue::String(text) => Ok(text.to_string()),
                    other => Err(format!("the list has {}, where texts are meant", with_article(other.type_str()))),
                };
                values.iter().map(|value| text(value.get_ref())).collect::<Result<_, _>>().map(Self::List)
            }
            other => Err(format!("{} is not meant here", with_article(other.type_str()))),
        }
    }

    /// A value as it is typed in an environment or behind `--set`: without quotation marks, lists with commas.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "true" => Self::Flag(true),
            "false" => Self::Flag(false),
            word => word.parse().map_or_else(|_| Self::Text(word.to_owned()), Self::Number),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
        }
    }

    fn is_not(&self, what: &str) -> String {
        format!("{} is meant here, not {}", what, self.kind())
    }
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// What can be set.
pub(crate) trait Setting: Sized {
    /// Reads it; the message says what is meant.
    fn read(value: &Value) -> Result<Self, String>;
    /// As TOML.
    fn show(&self) -> String;
}

/// A number of bytes, written like `16MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Setting for u64 {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => Ok(*number),
            other => Err(other.is_not("a number")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    fn read(value: &Value) -> Result<Self, String> {
        u64::read(value)?.try_into().map_err(|_| format!("the most is {}", Self::MAX))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u16 {
    fn read(value: &Value) -> Result<Self, String> {
        u64::read(value)?.try_into().map_err(|_| format!("the most is {}", Self::MAX))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for usize {
    fn read(value: &Value) -> Result<Self, String> {
        u64::read(value)?.try_into().map_err(|_| format!("the most is {}", Self::MAX))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Flag(flag) => Ok(*flag),
            other => Err(other.is_not("true or false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            // A word of the environment that looks like one.
            Value::Number(number) => Ok(number.to_string()),
            other => Err(other.is_not("a text")),
        }
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Result<Self, String> {
        String::read(value).map(Self::from)
    }

    fn show(&self) -> String {
        quoted(&self.display().to_string())
    }
}

/// Nothing is the empty text.
impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) if text.is_empty() => Ok(None),
            other => T::read(other).map(Some),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }
}

impl Setting for Vec<String> {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::List(list) => Ok(list.clone()),
            Value::Text(text) if text.is_empty() => Ok(Vec::new()),
            Value::Text(text) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
            other => Err(other.is_not("a list of texts")),
        }
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
    }
}

impl Setting for Vec<Door> {
    fn read(value: &Value) -> Result<Self, String> {
        let doors = Vec::<String>::read(value)?;
        doors.iter().map(|door| door.parse().map_err(|error: crate::api::DoorError| error.to_string())).collect()
    }

    fn show(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().show()
    }
}

impl Setting for crate::ident::StructureName {
    fn read(value: &Value) -> Result<Self, String> {
        String::read(value)?.parse().map_err(|error: crate::ident::StructureNameError| error.to_string())
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Setting for Size {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(bytes) => Ok(Self(*bytes)),
            Value::Text(text) => size::parse_size(text).map(Self),
            other => Err(other.is_not("a size such as \"16MiB\"")),
        }
    }

    fn show(&self) -> String {
        match size::show_size(self.0).strip_suffix(" bytes") {
            Some(bytes) => bytes.to_owned(),
            None => quoted(&size::show_size(self.0).replace(' ', "")),
        }
    }
}

/// Units of time, the longest first, and their ms.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Setting for Duration {
    fn read(value: &Value) -> Result<Self, String> {
        let nothing = || "a time such as \"500ms\", \"30s\", \"15m\", \"24h\" or \"180d\" is meant here".to_owned();
        let text = match value {
            Value::Number(0) => return Ok(Self::ZERO),
            Value::Text(text) => text.trim(),
            _ => return Err(nothing()),
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(nothing)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| nothing())?;
        let unit = unit.trim();
        let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(nothing)?;
        number.checked_mul(*ms).map(Self::from_millis).ok_or_else(|| format!("{text} is too long"))
    }

    fn show(&self) -> String {
        let ms = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let whole = |(_, unit): &&(&str, u64)| ms >= *unit && ms.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(whole).unwrap_or(&("s", 1_000));
        quoted(&format!("{}{name}", ms / unit))
    }
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again<T: Setting + PartialEq + std::fmt::Debug>(value: T) {
        let shown = value.show();
        let read = DeValue::parse(&shown).expect("TOML");
        let read = Value::of_toml(read.get_ref()).expect("a value");
        assert_eq!(T::read(&read), Ok(value), "{shown}");
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        [0, 1, 1_000, 30_000, 61_000, 900_000, 86_400_000, 15_552_000_000]
            .map(Duration::from_millis)
            .into_iter()
            .for_each(again);
        [0, 1, 1_023, 1_024, 16 << 20, 8 << 30, (1 << 30) + 1].map(Size).into_iter().for_each(again);
        ["", "a", "with \"marks\" and \\", "ünlü\n"].map(str::to_owned).into_iter().for_each(again);
        again(vec!["a".to_owned(), "b, c".to_owned()]);
        again(Some(PathBuf::from("/srv/ports")));
        again(None::<PathBuf>);
        again(vec![Door::Unix("/run/s".into()), Door::Tcp("127.0.0.1:1".parse().unwrap())]);
        again(u64::MAX);
        again(true);
    }

    #[test]
    fn what_is_no_value_says_what_is_meant() {
        for text in ["", "5", "s", "5 weeks", "-5s", "99999999999999999999s", "1.5h"] {
            assert!(Duration::read(&Value::Text(text.to_owned())).is_err(), "{text}");
        }
        assert_eq!(Duration::read(&Value::Text("2 m".to_owned())), Ok(Duration::from_secs(120)));
        assert!(u32::read(&Value::Number(1 << 32)).is_err());
        assert_eq!(
            bool::read(&Value::Text("yes".to_owned())),
            Err("true or false is meant here, not a text".to_owned())
        );
        assert_eq!(Value::of_word("12"), Value::Number(12));
        assert_eq!(Vec::<String>::read(&Value::of_word("a, b")), Ok(vec!["a".to_owned(), "b".to_owned()]));
        let nested = DeValue::parse("[1]").expect("TOML");
        assert!(Value::of_toml(nested.get_ref()).is_err());
    }
}
