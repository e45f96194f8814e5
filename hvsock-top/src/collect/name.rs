//! Process names as the kernel keeps them.

/// The name in a `comm` field; `None` if there is none.
pub(super) fn of(comm: &[u8; 16]) -> Option<String> {
    let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
    (end > 0).then(|| String::from_utf8_lossy(&comm[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn names_end_at_the_first_zero() {
        assert_eq!(of(b"guest\0rest of it").as_deref(), Some("guest"));
        assert_eq!(of(b"sixteen letters!").as_deref(), Some("sixteen letters!"));
        assert_eq!(of(&[0; 16]), None);
    }
}
