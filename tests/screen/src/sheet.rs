//! Numbers read from a table on a screen, as a person would: by the column they stand under.

use anyhow::{Context as _, Result, ensure};

/// A table as it stands on the screen.
pub struct Sheet {
    /// Title, first and last place of each column.
    columns: Vec<(&'static str, usize, usize)>,
    rows: Vec<Vec<char>>,
}

/// How a column stands under its title.
#[derive(Clone, Copy)]
pub enum Column {
    /// From where the title begins, so wide.
    Left(&'static str, usize),
    /// From after the column before to where the title ends.
    Right(&'static str),
}

impl Sheet {
    /// The table on `screen` whose heading has these columns first, in this order. Rows go on until an empty line.
    pub fn read(screen: &str, columns: &[Column]) -> Result<Self> {
        let titles = |line: &str| {
            let mut rest = line;
            columns.iter().all(|column| {
                let (Column::Left(title, _) | Column::Right(title)) = column;
                let found = rest.split_once(title).map(|(_, after)| after);
                rest = found.unwrap_or_default();
                found.is_some()
            })
        };
        let mut lines = screen.lines().skip_while(|line| !titles(line));
        let heading: Vec<char> = lines.next().context("no such heading")?.chars().collect();
        let mut at = 0;
        let mut places = Vec::new();
        for column in columns {
            let (Column::Left(title, _) | Column::Right(title)) = *column;
            let title_at = find(&heading, title, at).with_context(|| format!("no column {title}"))?;
            let (from, to) = match column {
                Column::Left(_, wide) => (title_at, title_at + wide),
                Column::Right(_) => (at, title_at + title.chars().count()),
            };
            places.push((title, from, to));
            at = to;
        }
        let rows =
            lines.take_while(|line| !line.trim().is_empty()).map(|line| line.chars().collect()).collect();
        Ok(Self { columns: places, rows })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows, from above.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows.len()).map(|at| Row { sheet: self, at })
    }

    /// Whether it has such a column.
    pub fn has(&self, title: &str) -> bool {
        self.columns.iter().any(|(its, _, _)| *its == title)
    }

    /// The row that has this in that column.
    pub fn row(&self, title: &str, value: &str) -> Result<Row<'_>> {
        let mut found = self.rows().filter(|row| row.get(title).is_ok_and(|its| its == value));
        let row = found.next().with_context(|| format!("no row has {title} {value}"))?;
        ensure!(found.next().is_none(), "two rows have {title} {value}");
        Ok(row)
    }
}

/// A row of a table.
pub struct Row<'a> {
    sheet: &'a Sheet,
    at: usize,
}

impl Row<'_> {
    /// What stands under a title.
    pub fn get(&self, title: &str) -> Result<String> {
        let found = self.sheet.columns.iter().find(|(its, _, _)| *its == title);
        let (_, from, to) = found.with_context(|| format!("no column {title}"))?;
        let row = &self.sheet.rows[self.at];
        let cell: String = row.iter().take(*to).skip(*from).collect();
        Ok(cell.trim().to_owned())
    }

    /// Fails unless just this stands under the title.
    pub fn expect(&self, title: &str, expected: &str) -> Result<()> {
        let got = self.get(title)?;
        ensure!(got == expected, "{title}: expected {expected}, the screen shows {got}");
        Ok(())
    }
}

fn find(line: &[char], title: &str, from: usize) -> Option<usize> {
    let title: Vec<char> = title.chars().collect();
    (from..line.len()).find(|at| line[*at..].starts_with(&title))
}

/// A number of bytes as the screen writes it: three digits and a unit.
pub fn bytes(n: u64) -> String {
    let mut n = n as f64;
    if n < 999.5 {
        return format!("{n:.0} B");
    }
    let mut unit = "";
    for next in ["KiB", "MiB", "GiB"] {
        (n, unit) = (n / 1024.0, next);
        if n < 999.5 {
            break;
        }
    }
    let digits = if n < 9.995 { 2 } else { usize::from(n < 99.95) };
    format!("{n:.digits$} {unit}")
}

/// The number of bytes that such a text stands for, as near as it says.
pub fn read_bytes(text: &str) -> Result<f64> {
    read(text, &[("B", 1.0), ("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0)])
}

/// The nanoseconds that a duration on the screen stands for, as near as it says.
pub fn read_duration(text: &str) -> Result<f64> {
    read(text, &[("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)])
}

/// The nanoseconds that an age on the screen stands for, and how much longer it may be.
pub fn read_age(text: &str) -> Result<(u64, u64)> {
    let second = 1_000_000_000;
    let units = [("d", 86_400 * second), ("h", 3_600 * second), ("m", 60 * second), ("s", second)];
    let (mut rest, mut sum, mut step) = (text, 0, 0);
    for (name, factor) in units {
        if let Some((number, after)) = rest.split_once(name) {
            let number: f64 = number.parse().with_context(|| format!("not an age: {text}"))?;
            sum += (number * factor as f64).round() as u64;
            step = if text.contains('.') { factor / 10 } else { factor };
            rest = after;
        }
    }
    ensure!(rest.is_empty() && step > 0, "not an age: {text}");
    Ok((sum, step))
}

fn read(text: &str, units: &[(&str, f64)]) -> Result<f64> {
    let (number, unit) = text.split_once(' ').with_context(|| format!("no number with a unit: {text}"))?;
    let found = units.iter().find(|(name, _)| *name == unit);
    let (_, factor) = found.with_context(|| format!("not a unit: {text}"))?;
    let number: f64 = number.parse().with_context(|| format!("not a number: {text}"))?;
    Ok(number * factor)
}

/// A share as the screen writes it.
pub fn percent(used: u64, of: u64) -> String {
    let percent = used as f64 * 100.0 / of as f64;
    if used > 0 && percent < 0.5 {
        "<1%".to_owned()
    } else if used < of && percent >= 99.5 {
        "99%".to_owned()
    } else {
        format!("{percent:.0}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_by_their_column() -> Result<()> {
        let screen = "something\nNAME   PORT     TX RING\nab cd  5000 12 KiB ██ 7%\nef        9    0 B ·· 0%\n\nmore\n";
        let columns =
            [Column::Left("NAME", 6), Column::Right("PORT"), Column::Right("TX"), Column::Left("RING", 5)];
        let sheet = Sheet::read(screen, &columns)?;
        assert_eq!(sheet.len(), 2);
        let row = sheet.row("PORT", "5000")?;
        row.expect("NAME", "ab cd")?;
        row.expect("TX", "12 KiB")?;
        row.expect("RING", "██ 7%")?;
        assert!(row.expect("TX", "12").is_err());
        assert!(sheet.row("PORT", "50").is_err());
        Ok(())
    }

    #[test]
    fn numbers_are_written_as_on_the_screen() -> Result<()> {
        assert_eq!((bytes(0), bytes(999)), ("0 B".to_owned(), "999 B".to_owned()));
        assert_eq!((bytes(5000), bytes(1 << 20)), ("4.88 KiB".to_owned(), "1.00 MiB".to_owned()));
        for text in ["999 B", "4.88 KiB", "1.00 MiB"] {
            assert_eq!(bytes(read_bytes(text)?.round() as u64), text);
        }
        assert!((read_duration("1.50 ms")? - 1.5e6).abs() < 1.0);
        assert!(read_duration("–").is_err() && read_bytes("1 s").is_err());
        assert_eq!(read_age("6.9s")?, (6_900_000_000, 100_000_000));
        assert_eq!(read_age("42s")?, (42_000_000_000, 1_000_000_000));
        assert_eq!(read_age("1m05s")?, (65_000_000_000, 1_000_000_000));
        assert_eq!(read_age("2h01m")?, (7_260_000_000_000, 60_000_000_000));
        assert!(read_age("–").is_err() && read_age("").is_err() && read_age("5").is_err());
        assert_eq!(
            (percent(0, 7), percent(1, 1000), percent(7, 7)),
            ("0%".into(), "<1%".into(), "100%".into())
        );
        Ok(())
    }
}
