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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ports_guid_reads_the_same_from_memory() {
        let memory = [0x88, 0x13, 0, 0, 0xcb, 0xfa, 0xe6, 0x11, 0xbd, 0x58, 0x64, 0, 0x6a, 0x79, 0x86, 0xd3];
        assert_eq!(text(&memory), of_port(5000));
        assert_eq!(of_port(5000), "00001388-facb-11e6-bd58-64006a7986d3");
    }
}
