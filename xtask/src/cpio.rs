//! Writes cpio archives in the "newc" format, the one the kernel unpacks as its initramfs.

use std::io::Write as _;

/// An archive in the making.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

impl Archive {
    /// A folder. Its parents must have been added before.
    pub(crate) fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// A file that can be executed, or one that cannot.
    pub(crate) fn file(&mut self, path: &str, content: &[u8], executable: bool) {
        self.entry(path, FILE | if executable { 0o755 } else { 0o644 }, (0, 0), content);
    }

    /// A symbolic link to `target`.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.entry(path, SYMLINK | 0o777, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER | 0o600, (major, minor), &[]);
    }

    /// The finished archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        let path = path.trim_start_matches('/');
        let inode = self.inode;
        self.inode += 1;
        // magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        let fields = [
            inode,
            mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            device.0,
            device.1,
            path.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            // Writing to a Vec cannot fail.
            let _ = write!(self.bytes, "{field:08x}");
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        let to = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(to, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_newc_layout() {
        let mut archive = Archive::default();
        archive.directory("/bin");
        archive.file("/bin/x", b"abcde", true);
        let bytes = archive.finish();
        // A header of 110 bytes and the name "bin\0" are padded to 116.
        assert_eq!(&bytes[..14], b"07070100000000");
        assert_eq!(&bytes[14..22], b"000041ed");
        assert_eq!(&bytes[110..114], b"bin\0");
        let second = &bytes[116..];
        assert_eq!(&second[..6], b"070701");
        assert_eq!(&second[54..62], b"00000005", "file size");
        assert_eq!(&second[94..102], b"00000006", "name size with its NUL");
        assert_eq!(&second[110..116], b"bin/x\0");
        assert_eq!(&second[116..121], b"abcde");
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.windows(11).any(|w| w == b"TRAILER!!!\0"));
    }

    #[test]
    fn cpio_itself_reads_it() -> anyhow::Result<()> {
        use std::process::{Command, Stdio};
        let mut archive = Archive::default();
        archive.directory("d");
        archive.symlink("d/link", "target");
        archive.file("d/f", b"1", false);
        let Ok(mut child) =
            Command::new("cpio").arg("-tv").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        else {
            eprintln!("no cpio on this machine: not compared with it");
            return Ok(());
        };
        child.stdin.take().expect("piped").write_all(&archive.finish())?;
        let out = String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned();
        assert!(
            out.contains("drwxr-xr-x") && out.contains("d/link -> target") && out.contains("-rw-r--r--"),
            "{out}"
        );
        Ok(())
    }
}
