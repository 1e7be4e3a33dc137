//! The differences between two schemas, as sentences for logs and errors.

use super::{Column, Schema};

impl Schema {
    /// The differences between this schema ("here") and `other` ("there"), one sentence each. Empty if and only if the
    /// schemas are equal.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.version() != other.version() {
            found.push(format!(
                "version is {:?} here and {:?} there",
                self.version(),
                other.version()
            ));
        }
        column_differences("observation", self.observation(), other.observation(), &mut found);
        column_differences("image", self.images(), other.images(), &mut found);
        column_differences("action", self.action(), other.action(), &mut found);
        column_differences("info", self.info(), other.info(), &mut found);
        if self.action_mask_width() != other.action_mask_width() {
            found.push(format!(
                "the action mask is {} wide here and {} there",
                self.action_mask_width(),
                other.action_mask_width()
            ));
        }
        if self.reward_terms() != other.reward_terms() {
            found.push(format!(
                "reward terms are {:?} here and {:?} there",
                self.reward_terms(),
                other.reward_terms()
            ));
        }
        list_differences(self, other, &mut found);
        if found.is_empty() && self != other {
            found.push("the columns are the same in another order".to_owned());
        }
        found
    }
}

/// Appends the differences between the lists.
fn list_differences(here: &Schema, there: &Schema, found: &mut Vec<String>) {
    let capacity = |schema: &Schema, name: &str| match schema.list(name) {
        Some(list) => format!("a list of {} entities", list.capacity()),
        None => "no list".to_owned(),
    };
    let mut names: Vec<_> = here.lists().map(|list| list.name().to_owned()).collect();
    names.extend(there.lists().map(|list| list.name().to_owned()));
    names.sort();
    names.dedup();
    for name in names {
        let (own, other) = (capacity(here, &name), capacity(there, &name));
        if own != other {
            found.push(format!(
                "the observation columns of `{name}` are {own} here and {other} there"
            ));
        }
    }
}

/// Appends the differences between the columns of one group, matched by name.
fn column_differences(group: &str, here: &[Column], there: &[Column], found: &mut Vec<String>) {
    for column in here {
        match there.iter().find(|other| other.name == column.name) {
            None => found.push(format!("{group} column `{}` is only here", column.name)),
            Some(other) if other != column => {
                found.push(format!(
                    "{group} column `{}` has another type, shape or space",
                    column.name
                ));
            }
            Some(_) => {}
        }
    }
    for column in there {
        if !here.iter().any(|own| own.name == column.name) {
            found.push(format!("{group} column `{}` is only there", column.name));
        }
    }
}
