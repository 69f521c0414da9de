//! `LIKE`, as arrow-string 59.3's `predicate.rs` does it.

/// Whether a text matches a `LIKE` pattern (`ILIKE` if `case_insensitive`; its pattern must be ASCII).
///
/// ```
/// use nearside_planner::evaluate::like;
///
/// assert!(like("straße", "stra_e%", false));
/// assert!(like("50%", r"50\%", false));
/// assert!(!like("Kelvin", "kelvin", false) && like("Kelvin", "kelvin", true));
/// ```
pub fn like(text: &str, pattern: &str, case_insensitive: bool) -> bool {
    let tokens = tokens(pattern);
    let text: Vec<char> = text.chars().collect();
    let matches = |token: usize, position: usize| match tokens.get(token) {
        Some(Token::Char(wanted)) => same(*wanted, text[position], case_insensitive),
        Some(Token::One) => true,
        Some(Token::Any) | None => false,
    };
    let (mut token, mut position) = (0, 0);
    // The last `%` and where the text it stands for ends: only that one ever needs to take more.
    let mut retry: Option<(usize, usize)> = None;
    while position < text.len() {
        if tokens.get(token) == Some(&Token::Any) {
            token += 1;
            retry = Some((token, position));
        } else if matches(token, position) {
            (token, position) = (token + 1, position + 1);
        } else if let Some((after, end)) = retry {
            (token, position) = (after, end + 1);
            retry = Some((after, end + 1));
        } else {
            return false;
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Any)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// `%`
    Any,
    /// `_`
    One,
    /// The character itself.
    Char(char),
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut chars = pattern.chars();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '%' => Token::Any,
            '_' => Token::One,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            c => Token::Char(c),
        });
    }
    tokens
}

/// Simple case folding of Unicode, for a wanted character of ASCII: two letters beyond ASCII fold into it.
fn same(wanted: char, given: char, case_insensitive: bool) -> bool {
    if !case_insensitive {
        return wanted == given;
    }
    wanted.eq_ignore_ascii_case(&given)
        || matches!((wanted.to_ascii_lowercase(), given), ('k', '\u{212a}' /* Kelvin sign */) | ('s', 'ſ'))
}
