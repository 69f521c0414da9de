//! Text into tokens.

use super::{ParseError, Problem};

/// A piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, a type, or a name.
    Word(&'a str),
    /// `"…"`: always a name.
    Name(String),
    /// `'…'`
    Text(String),
    /// Digits, perhaps with a point and an exponent, and the letters and digits that follow: `1.5f32`; or `0x…`.
    Number {
        /// The number, without a sign.
        value: &'a str,
        /// Its type.
        suffix: &'a str,
    },
    /// An operator or a bracket.
    Symbol(&'a str),
    /// Nothing follows.
    End,
}

/// A token and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Spanned<'a> {
    pub(super) token: Token<'a>,
    /// Bytes from the start of the text.
    pub(super) start: usize,
}

/// The tokens of a text; the last one is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Spanned<'_>>, ParseError> {
    let mut lexer = Lexer { text, position: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.position;
        let token = lexer.token().map_err(|problem| error_at(text, start, problem))?;
        let end = token == Token::End;
        tokens.push(Spanned { token, start });
        if end {
            return Ok(tokens);
        }
    }
}

/// An error at a byte of the text.
pub(super) fn error_at(text: &str, start: usize, problem: Problem) -> ParseError {
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    ParseError { line, column: before[line_start..].chars().count() + 1, problem }
}

struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

/// Longest first.
const SYMBOLS: &[&str] = &["<>", "<=", ">=", "(", ")", ",", ":", "|", "=", "<", ">", "+", "-", "*", "#"];

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    /// White space, and comments: `#` where a line begins and no digit follows.
    fn skip_blank(&mut self) {
        loop {
            self.take(char::is_whitespace);
            let begins_line = self.text[..self.position].trim_end_matches([' ', '\t']).ends_with('\n') || self.position == 0;
            let comment = self.rest().starts_with('#') && !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
            if !(begins_line && comment) {
                return;
            }
            self.take(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Token<'a>, Problem> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        match first {
            '\'' => self.quoted('\'').map(Token::Text),
            '"' => self.quoted('"').map(Token::Name),
            '0'..='9' => Ok(self.number()),
            'a'..='z' | 'A'..='Z' | '_' => Ok(Token::Word(self.take(is_word))),
            _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => {
                    self.position += symbol.len();
                    Ok(Token::Symbol(symbol))
                }
                None => Err(Problem::Expected { expected: "a token", found: format!("{first:?}") }),
            },
        }
    }

    /// Takes characters while they are wanted.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.position += taken.len();
        taken
    }

    fn number(&mut self) -> Token<'a> {
        let start = self.position;
        if self.rest().starts_with("0x") {
            return Token::Number { value: self.take(|c| c.is_ascii_alphanumeric()), suffix: "" };
        }
        self.take(|c| c.is_ascii_digit());
        if self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            self.position += 1;
            self.take(|c| c.is_ascii_digit());
        }
        if let Some(exponent) = self.rest().strip_prefix('e') {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.starts_with(|c: char| c.is_ascii_digit()) {
                self.position = self.text.len() - digits.len();
                self.take(|c| c.is_ascii_digit());
            }
        }
        let value = &self.text[start..self.position];
        Token::Number { value, suffix: self.take(is_word) }
    }

    /// A doubled quote stands for one.
    fn quoted(&mut self, quote: char) -> Result<String, Problem> {
        let mut value = String::new();
        loop {
            self.position += 1; // the quote: the first, or the second of a pair
            value.push_str(self.take(|c| c != quote));
            if self.rest().is_empty() {
                return Err(Problem::Unclosed);
            }
            self.position += 1;
            if !self.rest().starts_with(quote) {
                return Ok(value);
            }
            value.push(quote);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
