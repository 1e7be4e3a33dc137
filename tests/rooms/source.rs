//! Just enough of Rust's grammar to find the paths in a file.

/// A path as a file names it: from the crate's root, into a crate of Bevy's, or from a binary into the library.
pub struct FoundPath {
    segments: Vec<String>,
    root: Root,
}

#[derive(PartialEq, Eq)]
enum Root {
    Crate,
    Bevy,
    Library,
}

impl FoundPath {
    /// As one would write it.
    pub fn text(&self) -> String {
        let path = self.segments.join("::");
        match self.root {
            Root::Crate => format!("crate::{path}"),
            Root::Bevy => path,
            Root::Library => format!("bevy_experience::{path}"),
        }
    }

    /// What follows `crate::`.
    pub fn in_crate(&self) -> Option<&[String]> {
        (self.root == Root::Crate).then_some(&self.segments)
    }

    /// What follows `bevy_experience::`.
    pub fn in_library(&self) -> Option<&[String]> {
        (self.root == Root::Library).then_some(&self.segments)
    }

    /// Whether it leads into Bevy.
    pub fn names_bevy(&self) -> bool {
        self.root == Root::Bevy
    }
}

/// All paths in `source`, the text of the file with this module path: those within the crate, resolved, and the names of
/// Bevy's crates.
pub fn paths(module: &[&str], source: &str) -> Vec<FoundPath> {
    let tokens = tokens(source);
    let mut inner: Vec<(&str, usize)> = Vec::new();
    let mut depth = 0;
    let mut found = Vec::new();
    for (at, &token) in tokens.iter().enumerate() {
        match token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inner.retain(|(_, outside)| *outside < depth);
            }
            "mod" if tokens.get(at + 2) == Some(&"{") => inner.push((tokens[at + 1], depth)),
            "crate" | "self" | "super" if tokens.get(at + 1) == Some(&"::") && (at == 0 || tokens[at - 1] != "::") => {
                let mut start: Vec<_> = module
                    .iter()
                    .copied()
                    .chain(inner.iter().map(|(name, _)| *name))
                    .collect();
                let mut rest = &tokens[at..];
                if token == "crate" {
                    start.clear();
                    rest = &rest[2..];
                }
                while let ["self" | "super", "::", after @ ..] = rest {
                    if rest[0] == "super" {
                        start.pop();
                    }
                    rest = after;
                }
                let mut leaves = Vec::new();
                tree(rest, &start, &mut leaves);
                found.extend(leaves.into_iter().map(|leaf| FoundPath {
                    segments: leaf.into_iter().map(str::to_owned).collect(),
                    root: Root::Crate,
                }));
            }
            "bevy_experience" if tokens.get(at + 1) == Some(&"::") => {
                let mut leaves = Vec::new();
                tree(&tokens[at + 2..], &[], &mut leaves);
                found.extend(leaves.into_iter().map(|leaf| FoundPath {
                    segments: leaf.into_iter().map(str::to_owned).collect(),
                    root: Root::Library,
                }));
            }
            _ if token == "bevy" || (token.starts_with("bevy_") && token != "bevy_experience") => {
                found.push(FoundPath {
                    segments: vec![token.to_owned()],
                    root: Root::Bevy,
                });
            }
            _ => {}
        }
    }
    found
}

/// Reads a tree of paths that goes on from `start`, and returns what follows it.
fn tree<'t, 's>(mut rest: &'t [&'s str], start: &[&'s str], leaves: &mut Vec<Vec<&'s str>>) -> &'t [&'s str] {
    let mut path = start.to_vec();
    loop {
        match rest {
            ["{", inside @ ..] => {
                rest = inside;
                loop {
                    rest = match rest {
                        [] => return rest,
                        ["}", after @ ..] => return after,
                        [",", after @ ..] | ["as", _, after @ ..] => after,
                        _ => tree(rest, &path, leaves),
                    };
                }
            }
            [segment, "::", after @ ..] => {
                path.push(segment);
                rest = after;
            }
            // Generic arguments end a path; any that they name are found by themselves.
            ["<", ..] | [] => break,
            [segment, after @ ..] => {
                path.push(segment);
                rest = after;
                break;
            }
        }
    }
    leaves.push(path);
    rest
}

/// Words, `::` and single signs, without comments, strings, characters and lifetimes.
fn tokens(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            '\'' => character(rest),
            'r' | 'b' | 'c' if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            _ if first.is_alphanumeric() || first == '_' => {
                let length = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                found.push(&rest[..length]);
                length
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
                found.push(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    found
}

fn block_comment(rest: &str) -> usize {
    let mut open = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        let step = match here {
            [b'/', b'*', ..] => {
                open += 1;
                2
            }
            [b'*', b'/', ..] => {
                open -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if open == 0 {
            break;
        }
    }
    at.min(rest.len())
}

/// The length of a string that begins with a quote.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    let closing = rest.char_indices().skip(1).find(|(_, sign)| {
        let closes = *sign == '"' && !escaped;
        escaped = *sign == '\\' && !escaped;
        closes
    });
    closing.map_or(rest.len(), |(at, _)| at + 1)
}

/// The length of a character, or of the quote alone where it begins a lifetime.
fn character(rest: &str) -> usize {
    let mut signs = rest.char_indices().skip(1);
    match signs.next() {
        // The escaped sign itself may be a quote.
        Some((_, '\\')) => signs
            .skip(1)
            .find(|(_, sign)| *sign == '\'')
            .map_or(1, |(at, _)| at + 1),
        Some(_) => match signs.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The length of `r#"…"#` with any number of `#`, and of its `b` and `c` forms.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let inside = after.trim_start_matches('#');
    let fence = after.len() - inside.len();
    let inside = inside.strip_prefix('"')?;
    let close = format!("\"{}", &after[..fence]);
    let length = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(rest.len() - inside.len() + length)
}
