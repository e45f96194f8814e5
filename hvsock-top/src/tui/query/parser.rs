//! Words to an expression.

use regex::{Regex, RegexBuilder};

use super::{
    Field, Kind, QueryError,
    lexer::{Op, Token, lex},
};

/// No filter may be nested deeper.
const DEEPEST: usize = 64;
/// No regular expression may take more memory, compiled.
const REGEX_BYTES: usize = 1 << 20;

/// A filter.
#[derive(Clone, Debug)]
pub struct Query(pub(super) Expr);

/// What must hold.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    /// Both.
    And(Box<Expr>, Box<Expr>),
    /// One or both.
    Or(Box<Expr>, Box<Expr>),
    /// Not that.
    Not(Box<Expr>),
    /// Any text of the row contains this, in whatever case.
    Anywhere(String),
    /// Any text of the row matches.
    AnywhereRegex(Regex),
    /// A text field contains this, in whatever case.
    Has(Field, String),
    /// A text field is this, in whatever case.
    IsText(Field, String),
    /// A field matches.
    Matches(Field, Regex),
    /// A number compares so.
    Compare(Field, Comparison, f64),
    /// A field is not known.
    Unknown(Field),
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

impl Query {
    /// Understands `text`; `None` when there is nothing in it.
    pub fn parse(text: &str) -> Result<Option<Self>, QueryError> {
        let tokens = lex(text)?;
        if tokens.is_empty() {
            return Ok(None);
        }
        let mut parser = Parser { tokens, at: 0, depth: 0, end: text.chars().count() };
        let expr = parser.either()?;
        match parser.tokens.get(parser.at) {
            None => Ok(Some(Self(expr))),
            Some((at, Token::Close)) => {
                Err(QueryError { at: *at, what: "there is no ( for this )".to_owned() })
            }
            Some((at, _)) => Err(QueryError { at: *at, what: "and, or, or the end was expected".to_owned() }),
        }
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(at, _)| *at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).map(|(_, token)| token.clone());
        self.at += usize::from(token.is_some());
        token
    }

    fn fail<T>(at: usize, what: impl Into<String>) -> Result<T, QueryError> {
        Err(QueryError { at, what: what.into() })
    }

    fn either(&mut self) -> Result<Expr, QueryError> {
        let mut left = self.both()?;
        while self.peek() == Some(&Token::Or) {
            self.at += 1;
            left = Expr::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expr, QueryError> {
        let mut left = self.single()?;
        loop {
            match self.peek() {
                Some(Token::And) => self.at += 1,
                // Side by side: both.
                Some(Token::Word(..) | Token::Regex(_) | Token::Open | Token::Not) => {}
                _ => return Ok(left),
            }
            left = Expr::And(Box::new(left), Box::new(self.single()?));
        }
    }

    fn single(&mut self) -> Result<Expr, QueryError> {
        let begin = self.place();
        self.depth += 1;
        if self.depth > DEEPEST {
            return Self::fail(begin, "this is nested too deeply");
        }
        let expr = match self.next() {
            Some(Token::Not) => Expr::Not(Box::new(self.single()?)),
            Some(Token::Open) => {
                let inner = self.either()?;
                if self.next() != Some(Token::Close) {
                    return Self::fail(begin, "this ( is not closed");
                }
                inner
            }
            Some(Token::Regex(pattern)) => Expr::AnywhereRegex(regex(begin, &pattern)?),
            Some(Token::Word(word, quoted)) => match self.peek() {
                Some(Token::Op(op)) if !quoted => {
                    let op = *op;
                    self.at += 1;
                    self.condition(begin, &word, op)?
                }
                _ => Expr::Anywhere(word.to_lowercase()),
            },
            Some(Token::Op(_)) => return Self::fail(begin, "a field's name must come before this"),
            Some(Token::Close) => return Self::fail(begin, "there is nothing before this )"),
            Some(Token::And | Token::Or) => return Self::fail(begin, "a condition must come before this"),
            None => return Self::fail(begin, "a condition is missing here"),
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn condition(&mut self, begin: usize, name: &str, op: Op) -> Result<Expr, QueryError> {
        let Some((field, kind)) = Field::named(name) else {
            return Self::fail(begin, format!("there is no field `{name}`; ? lists them"));
        };
        let place = self.place();
        let (text, is_regex, quoted) = match self.next() {
            Some(Token::Word(text, quoted)) => (text, false, quoted),
            Some(Token::Regex(pattern)) => (pattern, true, false),
            _ => return Self::fail(place, format!("a value for `{name}` is missing here")),
        };
        if op == Op::Matches || is_regex {
            return match op {
                Op::Matches | Op::Has | Op::Is => Ok(Expr::Matches(field, regex(place, &text)?)),
                Op::IsNot => Ok(Expr::Not(Box::new(Expr::Matches(field, regex(place, &text)?)))),
                _ => Self::fail(place, "a regular expression is neither more nor less than anything"),
            };
        }
        if text == "-" && !quoted {
            return match op {
                Op::Is | Op::Has => Ok(Expr::Unknown(field)),
                Op::IsNot => Ok(Expr::Not(Box::new(Expr::Unknown(field)))),
                _ => Self::fail(place, "what is not known can only be compared with = or !="),
            };
        }
        if kind == Kind::Text {
            return match op {
                Op::Has => Ok(Expr::Has(field, text.to_lowercase())),
                Op::Is => Ok(Expr::IsText(field, text.to_lowercase())),
                Op::IsNot => Ok(Expr::And(
                    Box::new(Expr::Not(Box::new(Expr::IsText(field, text.to_lowercase())))),
                    Box::new(Expr::Not(Box::new(Expr::Unknown(field)))),
                )),
                _ => Self::fail(place, format!("`{name}` is text: use : = != or ~")),
            };
        }
        let Some(number) = number(&text, kind) else {
            let example = match kind {
                Kind::Bytes => "a size such as 100, 10k or 2MiB",
                Kind::Time => "a time such as 5ms, 200us or 3s",
                Kind::Number | Kind::Text => "a number",
            };
            return Self::fail(place, format!("`{name}` takes {example}"));
        };
        let compare = |how| Expr::Compare(field, how, number);
        Ok(match op {
            Op::Has | Op::Is | Op::Matches => compare(Comparison::Equal),
            Op::IsNot => Expr::And(
                Box::new(Expr::Not(Box::new(compare(Comparison::Equal)))),
                Box::new(Expr::Not(Box::new(Expr::Unknown(field)))),
            ),
            Op::Less => compare(Comparison::Less),
            Op::AtMost => compare(Comparison::AtMost),
            Op::More => compare(Comparison::More),
            Op::AtLeast => compare(Comparison::AtLeast),
        })
    }
}

fn regex(at: usize, pattern: &str) -> Result<Regex, QueryError> {
    RegexBuilder::new(pattern).case_insensitive(true).size_limit(REGEX_BYTES).build().map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        QueryError { at, what: format!("this is no regular expression: {last}") }
    })
}

const TIMES: &[(&str, f64)] = &[
    ("", 1e9),
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("min", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
];

const SIZES: &[(&str, f64)] = &[
    ("", 1.0),
    ("b", 1.0),
    ("k", 1024.0),
    ("kib", 1024.0),
    ("kb", 1e3),
    ("m", 1_048_576.0),
    ("mib", 1_048_576.0),
    ("mb", 1e6),
    ("g", 1_073_741_824.0),
    ("gib", 1_073_741_824.0),
    ("gb", 1e9),
];

const NUMBERS: &[(&str, f64)] = &[("", 1.0), ("%", 1.0), ("k", 1e3), ("m", 1e6), ("g", 1e9)];

/// A number with the units of its kind. A time without a unit is in seconds.
fn number(text: &str, kind: Kind) -> Option<f64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let number: f64 = digits.parse().ok()?;
    let units = match kind {
        Kind::Time => TIMES,
        Kind::Bytes => SIZES,
        Kind::Number | Kind::Text => NUMBERS,
    };
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some(number * factor)
}
