//! A line that is being written.

/// Text and the place where the next character goes, counted in characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    chars: Vec<char>,
    at: usize,
}

impl Input {
    /// The longest line.
    const LONGEST: usize = 1_000;

    /// Begins with `text`, at its end.
    pub fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().take(Self::LONGEST).collect();
        Self { at: chars.len(), chars }
    }

    /// The text.
    pub fn text(&self) -> String {
        self.chars.iter().collect()
    }

    /// The text before and after the place.
    pub fn halves(&self) -> (String, String) {
        (self.chars[..self.at].iter().collect(), self.chars[self.at..].iter().collect())
    }

    /// Writes a character; those that move the terminal's cursor are left out.
    pub fn insert(&mut self, c: char) {
        if !c.is_control() && self.chars.len() < Self::LONGEST {
            self.chars.insert(self.at, c);
            self.at += 1;
        }
    }

    /// Takes the character before away.
    pub fn backspace(&mut self) {
        if self.at > 0 {
            self.at -= 1;
            self.chars.remove(self.at);
        }
    }

    /// Takes the character after away.
    pub fn delete(&mut self) {
        if self.at < self.chars.len() {
            self.chars.remove(self.at);
        }
    }

    /// Takes the word before away.
    pub fn delete_word(&mut self) {
        let blank = |input: &Self| input.chars[input.at - 1].is_whitespace();
        while self.at > 0 && blank(self) {
            self.backspace();
        }
        while self.at > 0 && !blank(self) {
            self.backspace();
        }
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Moves by so many characters.
    pub fn step(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.chars.len());
    }

    /// To the beginning.
    pub fn home(&mut self) {
        self.at = 0;
    }

    /// To the end.
    pub fn end(&mut self) {
        self.at = self.chars.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_and_mended() {
        let mut input = Input::new("port:5000 and é");
        input.backspace();
        input.delete_word();
        assert_eq!(input.text(), "port:5000 ");
        input.home();
        input.delete();
        input.insert('P');
        input.insert('\u{1b}');
        input.step(-9);
        input.step(1);
        assert_eq!(input.halves(), ("P".to_owned(), "ort:5000 ".to_owned()));
        input.end();
        input.step(5);
        input.insert('ü');
        assert_eq!(input.text(), "Port:5000 ü");
        input.clear();
        input.backspace();
        input.delete_word();
        assert_eq!(input.text(), "");
    }
}
