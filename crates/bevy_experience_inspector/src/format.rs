//! Formatting of numbers, byte counts and durations as short text.

use core::time::Duration;

/// A count with thousands separators: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A value with about four significant digits, in scientific notation if it is very large or very small.
pub(super) fn value(number: f64) -> String {
    let magnitude = number.abs();
    if !number.is_finite() {
        number.to_string()
    } else if number == 0.0 {
        "0".to_owned()
    } else if number.fract() == 0.0 && magnitude < 1e7 {
        format!("{number:.0}")
    } else if (1e-3..1e7).contains(&magnitude) {
        let decimals = if magnitude >= 1000.0 {
            1
        } else if magnitude >= 1.0 {
            3
        } else {
            4
        };
        format!("{number:.decimals$}")
    } else {
        format!("{number:.2e}")
    }
}

/// A value with three decimals, so that decimal points line up in a right-aligned column.
pub(super) fn aligned(number: f64) -> String {
    if number.is_finite() && number.abs() < 1e7 {
        format!("{number:.3}")
    } else {
        value(number)
    }
}

/// A value in a column of mixed magnitudes: as [`value`] for whole numbers and those below 0.01, as [`aligned`]
/// otherwise.
pub(super) fn table_value(number: f64) -> String {
    if number.fract() == 0.0 || number.abs() < 0.01 {
        value(number)
    } else {
        aligned(number)
    }
}

/// A byte count with a binary unit.
pub(super) fn bytes(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// A duration in milliseconds below one second, in seconds above.
pub(super) fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// A duration below one second with its first digits: microseconds below one millisecond.
pub(super) fn short_duration(duration: Duration) -> String {
    if duration < Duration::from_millis(1) {
        format!("{} µs", duration.as_micros())
    } else if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    } else {
        self::duration(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_meaning() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        let values = [
            0.0,
            1.0,
            -3.25,
            0.012_34,
            1234.56,
            1e-9,
            3e12,
            f64::NAN,
            f64::NEG_INFINITY,
        ];
        let formatted = [
            "0", "1", "-3.250", "0.0123", "1234.6", "1.00e-9", "3.00e12", "NaN", "-inf",
        ];
        assert_eq!(values.map(value), formatted);
        assert_eq!(
            [0.0, -3.25, 12.0, 1e9].map(aligned),
            ["0.000", "-3.250", "12.000", "1.00e9"]
        );
        assert_eq!(
            [0.0, 7.0, 0.25, 0.001_25].map(table_value),
            ["0", "7", "0.250", "0.0013"]
        );
        assert_eq!(bytes(2048), "2.0 KiB");
        assert_eq!(bytes(5 << 30), "5.00 GiB");
        assert_eq!(duration(Duration::from_millis(1500)), "1.5 s");
        let durations = [250, 12_340, 1_500_000].map(Duration::from_micros);
        assert_eq!(durations.map(short_duration), ["250 µs", "12.3 ms", "1.5 s"]);
    }
}
