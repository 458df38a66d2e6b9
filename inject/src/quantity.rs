//! Kubernetes quantities, compared by value: `0.1` equals `100m`, `1Gi` equals `1024Mi`.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A quantity as an exact decimal: `digits` × 10^`exponent`, without trailing zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quantity {
    negative: bool,
    digits: u128,
    exponent: i32,
}

impl Quantity {
    /// Reads a quantity; `None` if it is not one, or needs more than 38 digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = text
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let mut digits: u128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            digits = digits.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
        }
        let mut exponent = -i32::try_from(fraction.len()).ok()?;
        match scale(suffix)? {
            Scale::Decimal(power) => exponent = exponent.checked_add(power)?,
            Scale::Binary(power) => digits = digits.checked_mul(1_u128.checked_shl(power)?)?,
        }
        Some(Self { negative, digits, exponent }.normalised())
    }

    /// Reads a quantity as JSON has it: text, or a number.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// The sum of two quantities that are not negative; `None` where it needs more than 38 digits.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let digits = self.digits_at(exponent)?.checked_add(other.digits_at(exponent)?)?;
        Some(Self { negative: false, digits, exponent }.normalised())
    }

    /// So many times the quantity; `None` where it needs more than 38 digits.
    #[must_use]
    pub fn times(&self, count: u64) -> Option<Self> {
        let digits = self.digits.checked_mul(u128::from(count))?;
        Some(Self { digits, ..self.clone() }.normalised())
    }

    /// A share of the quantity in hundredths.
    pub(crate) fn percent(&self, percent: u32) -> Option<Self> {
        let whole = self.times(percent.into())?;
        let exponent = whole.exponent.checked_sub(2)?;
        Some(Self { exponent, ..whole }.normalised())
    }

    /// As an amount of a resource of a container, the way people write it, rounded up: CPU in
    /// thousandths, memory and storage in bytes, anything else in pieces.
    #[must_use]
    pub fn to_amount_of(&self, resource: &str) -> Option<String> {
        match resource {
            "cpu" => self.to_cpu(),
            "memory" | "ephemeral-storage" => self.to_memory(),
            _ if resource.starts_with("hugepages-") => self.to_memory(),
            _ => Some(self.rounded_up(0)?.to_string()),
        }
    }

    /// As an amount of CPU: thousandths, rounded up.
    pub(crate) fn to_cpu(&self) -> Option<String> {
        let thousandths = self.rounded_up(-3)?;
        Some(if thousandths.is_multiple_of(1000) {
            (thousandths / 1000).to_string()
        } else {
            format!("{thousandths}m")
        })
    }

    /// As an amount of memory: bytes, rounded up, in the largest binary unit that is exact.
    pub(crate) fn to_memory(&self) -> Option<String> {
        let bytes = self.rounded_up(0)?;
        let exact = |power: u32| bytes > 0 && bytes.is_multiple_of(1 << power);
        let unit =
            [(30, "Gi"), (20, "Mi"), (10, "Ki")].into_iter().find(|(power, _)| exact(*power));
        Some(match unit {
            Some((power, name)) => format!("{}{name}", bytes >> power),
            None => bytes.to_string(),
        })
    }

    /// How often 10^`exponent` fits, rounded up.
    fn rounded_up(&self, exponent: i32) -> Option<u128> {
        if let Ok(power) = u32::try_from(self.exponent.checked_sub(exponent)?) {
            return self.digits.checked_mul(10_u128.checked_pow(power)?);
        }
        let power = exponent.checked_sub(self.exponent)?.unsigned_abs();
        let all_gone = u128::from(self.digits > 0);
        Some(10_u128.checked_pow(power).map_or(all_gone, |divisor| self.digits.div_ceil(divisor)))
    }

    /// The digits that go with another exponent, which is not larger than this one's.
    fn digits_at(&self, exponent: i32) -> Option<u128> {
        if self.digits == 0 {
            return Some(0);
        }
        let power = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10_u128.checked_pow(power)?)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.digits == 0
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether there is no fraction, and the API server can count it: it has 63 bits for that.
    pub(crate) fn is_whole(&self) -> bool {
        self.exponent >= 0 && self.is_countable()
    }

    fn is_countable(&self) -> bool {
        self.rounded_up(0).is_some_and(|whole| i64::try_from(whole).is_ok())
    }

    /// Whether this is a whole number of times the other, as far as the API server can count.
    pub(crate) fn is_multiple_of(&self, other: &Self) -> bool {
        let exponent = self.exponent.min(other.exponent);
        match (self.digits_at(exponent), other.digits_at(exponent)) {
            (Some(amount), Some(unit)) => {
                unit != 0 && amount.is_multiple_of(unit) && self.is_countable()
            }
            _ => false,
        }
    }

    /// Whether this is not more than the other; neither may be negative.
    pub(crate) fn is_at_most(&self, other: &Self) -> bool {
        if self.digits == 0 || other.digits == 0 {
            return self.digits == 0;
        }
        let exponent = self.exponent.min(other.exponent);
        match (self.digits_at(exponent), other.digits_at(exponent)) {
            (Some(left), Some(right)) => left <= right,
            // The one that is too large to be written out is the larger.
            (left, _) => left.is_some(),
        }
    }

    fn normalised(mut self) -> Self {
        if self.digits == 0 {
            return Self { negative: false, digits: 0, exponent: 0 };
        }
        while self.digits.is_multiple_of(10) {
            self.digits /= 10;
            self.exponent += 1;
        }
        self
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_json(&value)
            .ok_or_else(|| de::Error::custom(format!("{value} is not a quantity")))
    }
}

enum Scale {
    Decimal(i32),
    Binary(u32),
}

fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "" => Scale::Decimal(0),
        "n" => Scale::Decimal(-9),
        "u" => Scale::Decimal(-6),
        "m" => Scale::Decimal(-3),
        "k" => Scale::Decimal(3),
        "M" => Scale::Decimal(6),
        "G" => Scale::Decimal(9),
        "T" => Scale::Decimal(12),
        "P" => Scale::Decimal(15),
        "E" => Scale::Decimal(18),
        "Ki" => Scale::Binary(10),
        "Mi" => Scale::Binary(20),
        "Gi" => Scale::Binary(30),
        "Ti" => Scale::Binary(40),
        "Pi" => Scale::Binary(50),
        "Ei" => Scale::Binary(60),
        other => {
            let power = other.strip_prefix(['e', 'E'])?;
            Scale::Decimal(power.parse::<i16>().ok()?.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0.1", "100m")]
    #[case("1Gi", "1024Mi")]
    #[case("1e3", "1k")]
    #[case("1E3", "1000")]
    #[case("0", "0m")]
    #[case("-1.50", "-1500m")]
    #[case(".5", "500m")]
    fn equal_by_value(#[case] left: &str, #[case] right: &str) {
        assert!(Quantity::parse(left).is_some());
        assert_eq!(Quantity::parse(left), Quantity::parse(right));
    }

    #[rstest]
    #[case("1Gi", "1G")]
    #[case("100m", "100")]
    #[case("1", "-1")]
    fn different_by_value(#[case] left: &str, #[case] right: &str) {
        assert_ne!(Quantity::parse(left), Quantity::parse(right));
    }

    #[rstest]
    #[case("100m", "1", true)]
    #[case("2", "1", false)]
    #[case("1Gi", "1G", false)]
    #[case("0", "0", true)]
    #[case("1", "0", false)]
    #[case("1n", "1e30", true)]
    #[case("1e300", "1n", false)]
    fn compared_by_value(#[case] left: &str, #[case] right: &str, #[case] at_most: bool) {
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!(read(left).is_at_most(&read(right)), at_most);
    }

    #[rstest]
    #[case("250m", "1", "1250m", "2")]
    #[case("1n", "0", "1m", "1")]
    #[case("1.5", "500m", "2", "2")]
    #[case("1Gi", "1Gi", "2147483648", "2Gi")]
    #[case("1Gi", "512Mi", "1610612736", "1536Mi")]
    #[case("0", "0", "0", "0")]
    fn sums(#[case] left: &str, #[case] right: &str, #[case] cpu: &str, #[case] memory: &str) {
        let read = |text| Quantity::parse(text).unwrap();
        let sum = read(left).plus(&read(right)).unwrap();
        assert_eq!(sum.to_cpu().unwrap(), cpu);
        assert_eq!(sum.to_memory().unwrap(), memory);
    }

    #[rstest]
    #[case("1", 10, "100m")]
    #[case("333m", 10, "34m")]
    #[case("100m", 250, "250m")]
    fn shares(#[case] whole: &str, #[case] percent: u32, #[case] cpu: &str) {
        let share = Quantity::parse(whole).unwrap().percent(percent).unwrap();
        assert_eq!(share.to_cpu().unwrap(), cpu);
    }

    #[rstest]
    #[case("cpu", "10m", 150, "1500m")]
    #[case("memory", "64Mi", 16, "1Gi")]
    #[case("memory", "1.5", 1, "2")]
    #[case("ephemeral-storage", "1Gi", 2, "2Gi")]
    #[case("hugepages-2Mi", "4Mi", 3, "12Mi")]
    #[case("example.org/gpu", "1", 1024, "1024")]
    #[case("cpu", "10m", 0, "0")]
    fn multiplied(
        #[case] resource: &str,
        #[case] amount: &str,
        #[case] count: u64,
        #[case] text: &str,
    ) {
        let product = Quantity::parse(amount).unwrap().times(count).unwrap();
        assert_eq!(product.to_amount_of(resource).unwrap(), text);
    }

    #[rstest]
    #[case("4Mi", "2Mi", true)]
    #[case("3Mi", "2Mi", false)]
    #[case("0", "2Mi", true)]
    #[case("1500m", "500m", true)]
    fn multiples(#[case] amount: &str, #[case] unit: &str, #[case] expected: bool) {
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!(read(amount).is_multiple_of(&read(unit)), expected);
    }

    #[rstest]
    #[case("2000m", true)]
    #[case("1.5", false)]
    #[case("1k", true)]
    fn whole_numbers(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(Quantity::parse(text).unwrap().is_whole(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("-")]
    #[case("one")]
    #[case("1.2.3")]
    #[case("1mi")]
    #[case("1 Gi")]
    fn not_a_quantity(#[case] text: &str) {
        assert_eq!(Quantity::parse(text), None);
    }
}
