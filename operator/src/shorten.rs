//! Cuts text that others wrote to a size that may be stored.

/// The start of `text`, at most `bytes` long and cut between characters.
pub(crate) fn shortened(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(shortened("aüb", 4), "aüb");
        assert_eq!(shortened("aüb", 3), "aü");
        assert_eq!(shortened("aüb", 2), "a");
        assert_eq!(shortened("ü", 0), "");
    }
}
