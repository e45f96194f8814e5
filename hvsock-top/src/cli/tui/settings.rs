//! The configuration file: where it is, and what it says.

use std::{env, fs, io, path::PathBuf, time::Duration};

use super::args::TuiArgs;
use crate::{
    cli::{Failure, live::interval},
    kernel,
    tui::Config,
};

/// Between Snapshots, where nothing else is said.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// No configuration file is larger.
const LARGEST: u64 = 1 << 20;

/// What the file says, and what is wrong with it. A file that was named must be there; the usual one need not.
pub(super) fn load(args: &TuiArgs) -> Result<(Config, Option<String>), Failure> {
    let Some((path, named)) =
        args.config.clone().map(|path| (path, true)).or_else(|| Some((usual()?, false)))
    else {
        return Ok((Config::default(), None));
    };
    // A program with file capabilities must not read what its user could not.
    let read = || {
        let length = fs::metadata(&path)?.len();
        if length > LARGEST { Err(io::Error::other("it is too large")) } else { fs::read_to_string(&path) }
    };
    let text = match kernel::on_behalf_of_user(read) {
        Ok(text) => text,
        Err(error) if !named && error.kind() == io::ErrorKind::NotFound => {
            return Ok((Config::default(), None));
        }
        Err(error) if named => {
            return Err(Failure::senseless(
                format!("{} cannot be read: {error}", path.display()),
                "give --config the name of a file that you may read",
            ));
        }
        Err(error) => return Ok((Config::default(), Some(format!("{}: {error}", path.display())))),
    };
    let (config, errors) = Config::parse(&text, interval);
    let complaint = errors.first().map(|first| {
        let more = if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
        format!("{}, {first}{more}; the default is used", path.display())
    });
    Ok((config, complaint))
}

/// Where it usually is.
fn usual() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("hvsock-top/config.toml"))
}
