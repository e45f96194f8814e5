//! Takes the kernel ELF out of a bzImage. QEMU boots the ELF directly (PVH), without the slow decompressor.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Offsets in the x86 boot header (Documentation/arch/x86/boot.rst).
const SETUP_SECTS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// Unpacks the kernel in `image` to `to`.
pub(crate) fn extract(image: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let payload = payload(&bytes).with_context(|| format!("{} is no bzImage", image.display()))?;
    let (compressed, size) = payload.split_at(payload.len() - 4);
    let size = u32::from_le_bytes(size.try_into()?) as u64;
    let program = decompressor(compressed).context("the kernel is compressed in a way not known here")?;
    let packed = to.with_extension("packed");
    fs::write(&packed, compressed)?;
    // The payload is padded, which some tools report as trailing garbage; so the size decides, not the exit status.
    Command::new(program)
        .arg("-dc")
        .stdin(File::open(&packed)?)
        .stdout(File::create(to)?)
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    fs::remove_file(&packed)?;
    let got = fs::metadata(to)?.len();
    if got != size || !fs::read(to)?.starts_with(b"\x7fELF") {
        bail!("{program} gave {got} bytes of kernel, but the image promises an ELF of {size}");
    }
    Ok(())
}

/// The compressed kernel, with its unpacked size in the last four bytes.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let long = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    // Zero stands for four, says the boot protocol.
    let sectors = match *image.get(SETUP_SECTS)? {
        0 => 4,
        n => n as usize,
    };
    let start = (sectors + 1) * 512 + long(PAYLOAD_OFFSET)?;
    let payload = image.get(start..start + long(PAYLOAD_LENGTH)?)?;
    (payload.len() > 4).then_some(payload)
}

/// The program that unpacks data with this beginning.
fn decompressor(data: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 4] = [
        (b"\x02\x21\x4c\x18", "lz4"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ", "xz"),
        (b"\x1f\x8b", "gzip"),
    ];
    known.iter().find(|(magic, _)| data.starts_with(magic)).map(|(_, program)| *program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_found_by_the_boot_header() {
        let mut image = vec![0u8; 0x800];
        image[SETUP_SECTS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET] = 0x10;
        image[PAYLOAD_LENGTH] = 8;
        image[1024 + 0x10..1024 + 0x18].copy_from_slice(b"\x1f\x8bxx\x04\0\0\0");
        assert_eq!(payload(&image), Some(b"\x1f\x8bxx\x04\0\0\0".as_slice()));
        assert_eq!(decompressor(b"\x1f\x8bxx"), Some("gzip"));
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert_eq!(payload(b"MZ"), None);
        let mut image = vec![0u8; 0x800];
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_LENGTH + 3] = 0xff; // far beyond the file
        assert_eq!(payload(&image), None);
        assert_eq!(decompressor(b"plain"), None);
    }
}
