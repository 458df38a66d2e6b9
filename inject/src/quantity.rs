//! Kubernetes quantities, compared by value: `0.1` equals `100m`, `1Gi` equals `1024Mi`.

/// A quantity as an exact decimal: `digits` × 10^`exponent`, without trailing zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quantity {
    negative: bool,
    digits: u128,
    exponent: i32,
}

impl Quantity {
    /// Reads a quantity; `None` if it is not one, or needs more than 38 digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
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

    pub(crate) fn is_zero(&self) -> bool {
        self.digits == 0
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether this is not more than the other; neither may be negative.
    pub(crate) fn is_at_most(&self, other: &Self) -> bool {
        if self.digits == 0 || other.digits == 0 {
            return self.digits == 0;
        }
        let exponent = self.exponent.min(other.exponent);
        let scaled = |quantity: &Self| {
            let power = u32::try_from(quantity.exponent - exponent).ok()?;
            quantity.digits.checked_mul(10_u128.checked_pow(power)?)
        };
        match (scaled(self), scaled(other)) {
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
