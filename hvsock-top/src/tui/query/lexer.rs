//! Text to words.

use super::QueryError;

/// A word of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word or a quoted text; the flag says that it was quoted.
    Word(String, bool),
    /// `/…/`
    Regex(String),
    /// A comparison.
    Op(Op),
    Open,
    Close,
    And,
    Or,
    Not,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `:`
    Has,
    /// `=`
    Is,
    /// `!=`
    IsNot,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `~`
    Matches,
}

/// The words of `text`, each with its place in characters.
pub(super) fn lex(text: &str) -> Result<Vec<(usize, Token)>, QueryError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let begin = at;
        let next = chars.get(at + 1).copied();
        // After a comparison comes a value, whatever it begins with.
        let value_due = matches!(tokens.last(), Some((_, Token::Op(_))));
        let token = match (c, next) {
            (c, _) if c.is_whitespace() => {
                at += 1;
                continue;
            }
            ('(', _) => one(&mut at, Token::Open),
            (')', _) => one(&mut at, Token::Close),
            ('"' | '\'', _) => Token::Word(quoted(&chars, &mut at, c, "quoted text")?, true),
            ('/', _) => Token::Regex(quoted(&chars, &mut at, '/', "regular expression")?),
            ('&', Some('&')) => two(&mut at, Token::And),
            ('|', Some('|')) => two(&mut at, Token::Or),
            ('!', Some('=')) => two(&mut at, Token::Op(Op::IsNot)),
            ('<', Some('=')) => two(&mut at, Token::Op(Op::AtMost)),
            ('>', Some('=')) => two(&mut at, Token::Op(Op::AtLeast)),
            ('!', _) => one(&mut at, Token::Not),
            (':', _) => one(&mut at, Token::Op(Op::Has)),
            ('=', _) => one(&mut at, Token::Op(Op::Is)),
            ('<', _) => one(&mut at, Token::Op(Op::Less)),
            ('>', _) => one(&mut at, Token::Op(Op::More)),
            ('~', _) => one(&mut at, Token::Op(Op::Matches)),
            _ => {
                while chars.get(at).is_some_and(|c| is_word(*c)) {
                    at += 1;
                }
                if at == begin {
                    return Err(QueryError { at: begin, what: format!("`{c}` means nothing here") });
                }
                let word: String = chars[begin..at].iter().collect();
                match word.to_ascii_lowercase().as_str() {
                    "and" if !value_due => Token::And,
                    "or" if !value_due => Token::Or,
                    "not" if !value_due => Token::Not,
                    _ => Token::Word(word, false),
                }
            }
        };
        tokens.push((begin, token));
    }
    Ok(tokens)
}

fn one(at: &mut usize, token: Token) -> Token {
    *at += 1;
    token
}

fn two(at: &mut usize, token: Token) -> Token {
    *at += 2;
    token
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !"()\"'/&|!<>=:~".contains(c)
}

/// What stands between two `mark`s; a backslash before a mark takes it as it is.
fn quoted(chars: &[char], at: &mut usize, mark: char, what: &str) -> Result<String, QueryError> {
    let begin = *at;
    let mut text = String::new();
    *at += 1;
    while let Some(&c) = chars.get(*at) {
        *at += 1;
        match c {
            '\\' if chars.get(*at) == Some(&mark) => {
                text.push(mark);
                *at += 1;
            }
            c if c == mark => return Ok(text),
            c => text.push(c),
        }
    }
    Err(QueryError { at: begin, what: format!("this {what} has no end; close it with {mark}") })
}
