//! GUIDs as Hyper-V writes them.

/// The text form of a GUID from its memory order (`guid_t`: the first three groups are little-endian).
pub(super) fn text(guid: &[u8; 16]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (at, &index) in order.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let byte = guid[index];
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('?'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('?'));
    }
    text
}

/// The GUID of vsock port `port` (`<port>-facb-11e6-bd58-64006a7986d3`, net/vmw_vsock/hyperv_transport.c).
pub(super) fn of_port(port: u32) -> String {
    format!("{port:08x}-facb-11e6-bd58-64006a7986d3")
}

/// The last twelve bytes of every GUID that stands for a vsock port.
const TEMPLATE: [u8; 12] = [0xcb, 0xfa, 0xe6, 0x11, 0xbd, 0x58, 0x64, 0, 0x6a, 0x79, 0x86, 0xd3];

/// The memory order of a GUID from its text, with or without braces.
pub(super) fn parse(text: &str) -> Option<[u8; 16]> {
    let text = text.trim().trim_start_matches('{').trim_end_matches('}');
    let mut digits = Vec::with_capacity(32);
    for (at, byte) in text.bytes().enumerate() {
        match (at, char::from(byte).to_digit(16)) {
            (8 | 13 | 18 | 23, None) if byte == b'-' => {}
            (8 | 13 | 18 | 23, _) | (_, None) => return None,
            (_, Some(digit)) => digits.push(digit as u8),
        }
    }
    let (pairs, _) = digits.as_chunks::<2>();
    let bytes: [[u8; 2]; 16] = pairs.try_into().ok().filter(|_| digits.len() == 32)?;
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    Some(order.map(|index| bytes[index][0] << 4 | bytes[index][1]))
}

/// The first four bytes, which hv_sock takes for a port whatever the rest is.
pub(super) fn leading_port(guid: &[u8; 16]) -> u32 {
    u32::from_le_bytes([guid[0], guid[1], guid[2], guid[3]])
}

/// The vsock port that the GUID stands for, if it stands for one.
pub(super) fn port(guid: &[u8; 16]) -> Option<u32> {
    (guid[4..] == TEMPLATE).then(|| leading_port(guid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_reads_the_same() {
        for one in ["00001388-facb-11e6-bd58-64006a7986d3", "12345678-9abc-def0-1234-56789abcdef0"] {
            let guid = parse(&format!("{{{one}}}\n")).unwrap();
            assert_eq!(text(&guid), one);
            assert_eq!(parse(one), Some(guid));
        }
        assert_eq!(port(&parse(&of_port(5000)).unwrap()), Some(5000));
        let other = parse("12345678-9abc-def0-1234-56789abcdef0").unwrap();
        assert_eq!((port(&other), leading_port(&other)), (None, 0x1234_5678));
        for bad in [
            "",
            "{}",
            "00001388-facb-11e6-bd58-64006a7986d",
            "00001388-facb-11e6-bd58-64006a7986dg",
            "00001388-facb-11e6-bd58-64006a7986d3aa",
            "000013880facb-11e6-bd58-64006a7986d3",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_ports_guid_reads_the_same_from_memory() {
        let memory = [0x88, 0x13, 0, 0, 0xcb, 0xfa, 0xe6, 0x11, 0xbd, 0x58, 0x64, 0, 0x6a, 0x79, 0x86, 0xd3];
        assert_eq!(text(&memory), of_port(5000));
        assert_eq!(of_port(5000), "00001388-facb-11e6-bd58-64006a7986d3");
    }
}
