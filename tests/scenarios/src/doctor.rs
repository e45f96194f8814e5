//! `hvsock-top doctor --json`: its report, and the commands it gives.

use std::os::unix::fs::PermissionsExt as _;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::once::{self, Ended};
use crate::schema;

/// The command as it is run where nothing is in its way.
pub(crate) const DOCTOR: &str = "hvsock-top doctor --json";

/// Programs that distributions have and this guest has not, so that the commands of the report can be run to the letter. Root runs them.
const PROGRAMS: [(&str, &str); 3] = [
    ("sudo", "exec \"$@\""),
    ("setcap", "case $1 in *+ep) exec guest setcap ${1%+ep} $2;; esac; exit 1"),
    ("install", "[ $1 = -m ] && cp $3 $4 && chmod $2 $4"),
];

/// A report.
pub(crate) struct Report(Value);

impl Report {
    /// What a script that ends with doctor has left. Whatever the report says, it must be whole.
    pub(crate) fn of(script: &str) -> Result<Self> {
        let ended = once::shell(script)?;
        Self::parse(&ended).with_context(|| format!("{script}: {ended:?}"))
    }

    fn parse(ended: &Ended) -> Result<Self> {
        ensure!(ended.stderr.is_empty(), "expected nothing on stderr");
        ensure!(ended.stdout.lines().count() == 1, "expected one line of JSON");
        let report = Self(schema::DOCTOR.parse(&ended.stdout)?);
        let blind = report.0["verdict"] == "blind";
        ensure!(ended.code == Some(blind.into()), "expected exit code 1 if blind, else 0");
        ensure!(report.0["schema"] == 1, "another schema");
        let mut last = 0;
        for problem in report.list("problems")? {
            let severity = ["blind", "degraded", "note"].iter().position(|s| problem["severity"] == *s);
            let severity = severity.with_context(|| format!("no severity: {problem}"))?;
            ensure!(severity >= last, "the worst does not come first");
            last = severity;
            ensure!(severity > 0 || blind, "a problem that blinds, and not blind: {problem}");
            for name in ["code", "what", "fix"] {
                let text = problem[name].as_str().unwrap_or_default();
                ensure!(!text.is_empty() && !text.contains('\n'), "{name} of {problem}");
            }
            ensure!(problem["command"].as_str() != Some(""), "an empty command: {problem}");
        }
        let told = report.list("problems")?.iter().any(|p| p["severity"] == "blind");
        ensure!(told == blind, "blind without a problem that says why");
        Ok(report)
    }

    /// The verdict and the codes of all problems, the worst first.
    pub(crate) fn is(&self, verdict: &str, codes: &[&str]) -> Result<()> {
        let got = self.codes()?;
        ensure!(
            self.0["verdict"] == verdict && got == codes,
            "expected {verdict} {codes:?}, got {} {:?}",
            self.0["verdict"],
            self.0["problems"]
        );
        Ok(())
    }

    /// The codes of all problems, the worst first.
    pub(crate) fn codes(&self) -> Result<Vec<&str>> {
        Ok(self.list("problems")?.iter().filter_map(|p| p["code"].as_str()).collect())
    }

    /// What is at `path`.
    pub(crate) fn at(&self, path: &str) -> &Value {
        self.0.pointer(&format!("/{path}")).unwrap_or(&Value::Null)
    }

    /// The list at `path`.
    pub(crate) fn list(&self, path: &str) -> Result<&[Value]> {
        let list = self.at(path).as_array();
        list.map(Vec::as_slice).with_context(|| format!("the report has no list {path}"))
    }

    /// The one of the list at `path` whose `key` is `value`.
    pub(crate) fn one(&self, path: &str, key: &str, value: &str) -> Result<&Value> {
        let found = self.list(path)?.iter().find(|entry| entry[key] == value);
        found.with_context(|| format!("none of {path} has the {key} {value}: {:?}", self.at(path)))
    }

    /// The command that fixes the problem with this code.
    pub(crate) fn command(&self, code: &str) -> Result<&str> {
        let problem = self.one("problems", "code", code)?;
        problem["command"].as_str().with_context(|| format!("no command: {problem}"))
    }

    /// Runs that command as it stands, and looks again with `again`: the problem must be gone.
    pub(crate) fn fix(&self, code: &str, again: &str) -> Result<Self> {
        self.run(code)?;
        Self::without(code, again)
    }

    /// Runs that command as it stands.
    pub(crate) fn run(&self, code: &str) -> Result<()> {
        let command = self.command(code)?;
        let ended = once::shell(&with_stand_ins(command)?)?;
        ensure!(ended.code == Some(0), "the command that fixes {code} fails: {command}: {ended:?}");
        Ok(())
    }

    /// Looks again: the problem must be gone.
    pub(crate) fn without(code: &str, again: &str) -> Result<Self> {
        let report = Self::of(again)?;
        ensure!(!report.codes()?.contains(&code), "{code} is still there: {:?}", report.at("problems"));
        Ok(report)
    }
}

/// The command, with the stand-ins on its path.
pub(crate) fn with_stand_ins(command: &str) -> Result<String> {
    let folder = env::temp_dir().join("stand-ins");
    fs::create_dir_all(&folder)?;
    for (name, text) in PROGRAMS {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(format!("PATH={}:$PATH; {command}", folder.display()))
}
