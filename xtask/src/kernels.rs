//! The kernels of the test matrix, and which package version each one is today.

use std::cmp::Ordering;

use anyhow::{Context, Result};

use crate::apt::Lists;

/// A line of the kernel matrix. Debian's cloud kernels carry the Hyper-V modules and are small.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The series, as given to `--kernel`; packages are `linux-image-SERIES.*-FLAVOUR`.
    pub(crate) id: &'static str,
    /// The package flavour.
    pub(crate) flavour: &'static str,
    /// The series whose kbuild package lends `resolve_btfids`, where this one's has none. Without it modules get no BTF.
    pub(crate) resolve_btfids_from: Option<&'static str>,
}

/// The matrix. A further kernel is a further line.
pub(crate) const KERNELS: &[Kernel] = &[
    Kernel { id: "6.1", flavour: "cloud-amd64", resolve_btfids_from: Some("6.12") },
    Kernel { id: "6.12", flavour: "cloud-amd64", resolve_btfids_from: None },
];

/// The kernel used when none is named.
pub(crate) const DEFAULT: &str = "6.12";

/// The line of the matrix for `id`.
pub(crate) fn find(id: &str) -> Result<&'static Kernel> {
    KERNELS.iter().find(|k| k.id == id).with_context(|| {
        let known: Vec<_> = KERNELS.iter().map(|k| k.id).collect();
        format!("no kernel {id} in the matrix; there are {}", known.join(", "))
    })
}

/// For clap: the ids of the matrix.
pub(crate) fn ids() -> impl clap::builder::TypedValueParser<Value = String> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PossibleValuesParser::new(KERNELS.iter().map(|k| k.id)).map(|s| s)
}

/// An exact kernel: everything needed to download it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// As `uname -r` says it, without the flavour: `6.12.117+deb12`.
    pub(crate) abi: String,
    /// The package version: `6.12.117-1~deb12u1`.
    pub(crate) version: String,
    /// The packages: image, headers, common headers, kbuild.
    pub(crate) packages: Vec<String>,
}

impl Release {
    /// The name of its folder in the cache.
    pub(crate) fn key(&self) -> String {
        format!("{}_{}", self.abi, self.version)
    }
}

/// The newest release of `kernel` of which every package is to be had, if there is one.
pub(crate) fn newest(kernel: &Kernel, lists: &dyn Lists) -> Result<Option<Release>> {
    let prefix = format!("linux-image-{}.", kernel.id);
    let suffix = format!("-{}", kernel.flavour);
    let mut abis: Vec<String> = lists
        .names(&prefix)?
        .iter()
        .filter_map(|name| name.strip_prefix("linux-image-")?.strip_suffix(&suffix).map(str::to_owned))
        .collect();
    abis.sort_by(|a, b| natural_order(b, a));
    for abi in abis {
        if let Some(release) = release(kernel, &abi, lists)? {
            return Ok(Some(release));
        }
    }
    Ok(None)
}

/// The release called `abi`, if the lists have all of it in one version.
fn release(kernel: &Kernel, abi: &str, lists: &dyn Lists) -> Result<Option<Release>> {
    let versions = |package: &str| -> Result<Vec<String>> {
        // A name can linger in the lists with no version that can be installed.
        let Ok(text) = lists.show(package) else { return Ok(Vec::new()) };
        Ok(stanzas(&text).filter_map(|s| field(s, "Version").map(str::to_owned)).collect())
    };
    let own_kbuild = format!("linux-kbuild-{abi}");
    let kbuild =
        if versions(&own_kbuild)?.is_empty() { format!("linux-kbuild-{}", kernel.id) } else { own_kbuild };
    let packages = vec![
        format!("linux-image-{abi}-{}", kernel.flavour),
        format!("linux-headers-{abi}-{}", kernel.flavour),
        format!("linux-headers-{abi}-common"),
        kbuild,
    ];
    let mut common = versions(&packages[0])?;
    for package in &packages[1..] {
        let there = versions(package)?;
        common.retain(|v| there.contains(v));
    }
    common.sort_by(|a, b| natural_order(b, a));
    Ok(common.into_iter().next().map(|version| Release { abi: abi.to_owned(), version, packages }))
}

/// The paragraphs of a control file.
pub(crate) fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").filter(|s| !s.trim().is_empty())
}

/// A one-line field of a paragraph.
pub(crate) fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Orders texts so that runs of digits count as numbers: 6.12.9 before 6.12.117.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let number = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (digits_a, digits_b) = (number(a), number(b));
        if digits_a > 0 && digits_b > 0 {
            let (x, y) = (a[..digits_a].trim_start_matches('0'), b[..digits_b].trim_start_matches('0'));
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[digits_a..], &b[digits_b..]);
            continue;
        }
        let (mut chars_a, mut chars_b) = (a.chars(), b.chars());
        match (chars_a.next(), chars_b.next()) {
            (None, None) => return Ordering::Equal,
            // `~` sorts before the end: 6.12-1~bpo is older than 6.12-1.
            (Some('~'), other) if other != Some('~') => return Ordering::Less,
            (other, Some('~')) if other != Some('~') => return Ordering::Greater,
            (x, y) if x != y => return x.cmp(&y),
            _ => (a, b) = (chars_a.as_str(), chars_b.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn versions_sort_as_numbers() {
        let mut v =
            vec!["6.12.117+deb12", "6.12.9+deb12", "6.12.100+deb12", "6.12-1", "6.12-1~bpo", "6.1.0-56"];
        v.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            v,
            ["6.1.0-56", "6.12-1~bpo", "6.12-1", "6.12.9+deb12", "6.12.100+deb12", "6.12.117+deb12"]
        );
    }

    struct Fake(&'static [(&'static str, &'static str)]);

    impl Lists for Fake {
        fn names(&self, prefix: &str) -> Result<Vec<String>> {
            Ok(self.0.iter().map(|(n, _)| (*n).to_owned()).filter(|n| n.starts_with(prefix)).collect())
        }
        fn show(&self, package: &str) -> Result<String> {
            let found: Vec<_> = self.0.iter().filter(|(n, _)| *n == package).collect();
            if found.is_empty() {
                bail!("no packages found");
            }
            let stanzas: Vec<String> =
                found.iter().map(|(n, v)| format!("Package: {n}\nVersion: {v}\nSHA256: 00\n")).collect();
            Ok(stanzas.join("\n"))
        }
    }

    const K61: Kernel = Kernel { id: "6.1", flavour: "cloud-amd64", resolve_btfids_from: None };

    #[test]
    fn newest_complete_release_is_taken() -> Result<()> {
        let lists = Fake(&[
            ("linux-image-6.1.0-9-cloud-amd64", "6.1.100-1"),
            ("linux-headers-6.1.0-9-cloud-amd64", "6.1.100-1"),
            ("linux-headers-6.1.0-9-common", "6.1.100-1"),
            ("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2"),
            ("linux-headers-6.1.0-56-cloud-amd64", "6.1.192-2"),
            ("linux-headers-6.1.0-56-common", "6.1.192-2"),
            ("linux-kbuild-6.1", "6.1.100-1"),
            ("linux-kbuild-6.1", "6.1.192-2"),
            // Newer, but not all of it is to be had; and a series that only begins alike.
            ("linux-image-6.1.0-57-cloud-amd64", "6.1.193-1"),
            ("linux-image-6.12.9+deb12-cloud-amd64", "6.12.9-1"),
            ("linux-image-6.1.0-56-cloud-amd64-unsigned", "6.1.192-2"),
        ]);
        let found = newest(&K61, &lists)?.context("found none")?;
        assert_eq!((found.abi.as_str(), found.version.as_str()), ("6.1.0-56", "6.1.192-2"));
        assert_eq!(found.packages[3], "linux-kbuild-6.1");
        assert_eq!(found.key(), "6.1.0-56_6.1.192-2");
        Ok(())
    }

    #[test]
    fn none_when_the_lists_have_none() -> Result<()> {
        assert_eq!(newest(&K61, &Fake(&[("linux-image-6.12.9+deb12-cloud-amd64", "1")]))?, None);
        Ok(())
    }

    #[test]
    fn every_lender_is_in_the_matrix() {
        for kernel in KERNELS {
            assert!(kernel.resolve_btfids_from.is_none_or(|id| find(id).is_ok()), "{}", kernel.id);
        }
        assert!(find(DEFAULT).is_ok());
    }
}
