//! What is made of measurements, and how it is shown.

use std::io::Write as _;
use std::time::Duration;

/// The value that this share (0 to 1) of the values does not exceed, by
/// nearest rank; not a number where there are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let at = rank.saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// The middle value, the lower of two.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The largest value.
pub fn worst(values: &[f64]) -> f64 {
    quantile(values, 1.0)
}

/// Seconds.
pub fn seconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(Duration::as_secs_f64).collect()
}

/// Mebibytes.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Prints a line to standard output.
///
/// # Errors
/// Nobody takes it.
pub fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

/// Prints rows as a table in Markdown, the first row its head.
///
/// # Errors
/// Nobody takes it.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> std::io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for (number, row) in rows.iter().enumerate() {
        let cells: [String; COLUMNS] = std::array::from_fn(|column| {
            let width = widths[column];
            format!("{:width$}", row[column])
        });
        say(&format!("| {} |", cells.join(" | ")))?;
        if number == 0 {
            say(&format!(
                "|{}|",
                widths.map(|w| "-".repeat(w + 2)).join("|")
            ))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), 198.0);
        assert_eq!(median(&values), 100.0);
        assert_eq!(worst(&values), 200.0);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }
}
