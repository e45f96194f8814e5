//! The one ACPI device the stock hv_vmbus.ko looks for: a node with the hardware id "VMBus".
//!
//! Hyper-V's own id breaks ACPI's naming rules, so iasl takes it only by force; hence this small assembler.

/// An SSDT with an empty VMBus device, for QEMU's `-acpitable`. In ASL:
///
/// ```text
/// DefinitionBlock ("", "SSDT", 2, "HVSOCK", "VMBUSDEV", 1) {
///     Scope (\_SB) {
///         Device (VMBS) {
///             Name (_HID, "VMBus")
///             Name (_UID, Zero)
///             Name (_CRS, ResourceTemplate () { IRQ (Edge, ActiveHigh, Exclusive) {5} })
///         }
///     }
/// }
/// ```
pub(crate) fn ssdt() -> Vec<u8> {
    // IRQ descriptor (length 3): mask with bit 5, flags edge; then the end tag with a checksum of zero (not computed).
    let resources = [0x23, 0x20, 0x00, 0x01, 0x79, 0x00];
    let buffer =
        [&[0x11][..], &package(&[&[0x0a, resources.len() as u8][..], &resources[..]].concat())].concat();
    let device = [
        b"VMBS".as_slice(),
        &name(*b"_HID", b"\x0dVMBus\0"),
        &name(*b"_UID", b"\0"),
        &name(*b"_CRS", &buffer),
    ];
    let device = [b"\x5b\x82".as_slice(), &package(&device.concat())].concat();
    let scope = [b"\x10".as_slice(), &package(&[b"\\_SB_".as_slice(), &device].concat())].concat();
    table(&scope)
}

/// `Name (NAME, value)`.
fn name(name: [u8; 4], value: &[u8]) -> Vec<u8> {
    [b"\x08".as_slice(), &name, value].concat()
}

/// A PkgLength in its one-byte form, which counts itself, and the content.
fn package(content: &[u8]) -> Vec<u8> {
    debug_assert!(content.len() < 63, "needs the longer form of PkgLength");
    [&[content.len() as u8 + 1], content].concat()
}

/// A whole table around `aml`: the header of 36 bytes, and the checksum that makes the sum of all bytes zero.
fn table(aml: &[u8]) -> Vec<u8> {
    let mut table = Vec::new();
    table.extend_from_slice(b"SSDT");
    table.extend_from_slice(&(36 + aml.len() as u32).to_le_bytes());
    table.extend_from_slice(&[2, 0]); // revision; checksum, below
    table.extend_from_slice(b"HVSOCK");
    table.extend_from_slice(b"VMBUSDEV");
    table.extend_from_slice(&1u32.to_le_bytes());
    table.extend_from_slice(b"HVTP");
    table.extend_from_slice(&1u32.to_le_bytes());
    table.extend_from_slice(aml);
    let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    table[9] = sum.wrapping_neg();
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_iasl_makes_of_the_same_source() {
        let table = ssdt();
        let aml: &[u8] = b"\x10\x2e\\_SB_\x5b\x82\x26VMBS\x08_HID\x0dVMBus\0\x08_UID\0\x08_CRS\x11\x09\x0a\x06\x23\x20\x00\x01\x79\x00";
        assert_eq!(&table[36..], aml);
        assert_eq!(u32::from_le_bytes([table[4], table[5], table[6], table[7]]) as usize, table.len());
        assert_eq!(table.iter().fold(0u8, |s, b| s.wrapping_add(*b)), 0);
    }
}
