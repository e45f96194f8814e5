//! Releases of the kernel.

use anyhow::{Context as _, Result};

/// The first that counts for each program how often a tracepoint did not run it.
pub const COUNTS_SKIPPED: (u32, u32) = (6, 7);

/// Whether this release, of which no more than the first two numbers matter, is that one or a later one.
pub fn is_from(release: &str, first: (u32, u32)) -> Result<bool> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().ok());
    let two = numbers.next().flatten().zip(numbers.next().flatten());
    Ok(two.with_context(|| format!("not a kernel's release: {release}"))? >= first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() -> Result<()> {
        assert!(is_from("6.12.117+deb12-cloud-amd64", COUNTS_SKIPPED)? && is_from("6.7", COUNTS_SKIPPED)?);
        assert!(is_from("10.0.1", COUNTS_SKIPPED)? && !is_from("6.1.0-40", COUNTS_SKIPPED)?);
        assert!(is_from("6", COUNTS_SKIPPED).is_err() && is_from("linux", COUNTS_SKIPPED).is_err());
        Ok(())
    }
}
