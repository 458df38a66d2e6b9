//! The answer to a review, written straight into its buffer: equal answers are equal bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Characters of all warnings together that the API server passes on for sure.
const WARNINGS_LENGTH: usize = 4096;

/// An `AdmissionResponse`.
#[derive(Debug, Default)]
pub struct Answer {
    /// Why the object is refused, and the HTTP status code that says so; `None`: it is allowed.
    pub refusal: Option<Refusal>,
    /// JSON patch of the object; empty: none.
    pub patch: String,
    /// What the requester is told.
    pub warnings: Vec<String>,
    /// Audit annotations: key, without the prefix that the API server adds, and value.
    pub audit: Vec<(&'static str, String)>,
}

/// Why an object is refused.
#[derive(Debug)]
pub struct Refusal {
    /// HTTP status code of the requester's answer.
    pub code: u16,
    /// The reason, for a person.
    pub message: String,
}

impl Answer {
    /// Allowed as it is.
    #[must_use]
    pub fn allowed() -> Self {
        Self::default()
    }

    /// Allowed as it is, with a word about it.
    #[must_use]
    pub fn warned(warning: String) -> Self {
        Self { warnings: vec![warning], ..Self::default() }
    }

    /// Refused.
    #[must_use]
    pub fn refused(code: u16, message: String) -> Self {
        Self { refusal: Some(Refusal { code, message }), ..Self::default() }
    }

    /// The `AdmissionReview` that carries this answer to the request of this uid.
    #[must_use]
    pub fn into_review(self, uid: &str) -> String {
        let mut out = String::with_capacity(256 + self.patch.len() * 4 / 3);
        out.push_str(
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#,
        );
        push_string(&mut out, uid);
        match &self.refusal {
            None => out.push_str(r#","allowed":true"#),
            Some(Refusal { code, message }) => {
                out.push_str(r#","allowed":false,"status":{"code":"#);
                out.push_str(&code.to_string());
                out.push_str(r#","message":"#);
                push_string(&mut out, message);
                out.push('}');
            }
        }
        if !self.patch.is_empty() {
            out.push_str(r#","patchType":"JSONPatch","patch":""#);
            STANDARD.encode_string(&self.patch, &mut out);
            out.push('"');
        }
        push_warnings(&mut out, &self.warnings);
        if !self.audit.is_empty() {
            out.push_str(r#","auditAnnotations":{"#);
            for (position, (key, value)) in self.audit.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                push_string(&mut out, key);
                out.push(':');
                push_string(&mut out, value);
            }
            out.push('}');
        }
        out.push_str("}}");
        out
    }
}

fn push_warnings(out: &mut String, warnings: &[String]) {
    let mut left = WARNINGS_LENGTH;
    for (position, warning) in warnings.iter().enumerate() {
        out.push_str(if position == 0 { r#","warnings":["# } else { "," });
        let rest = format!("and {} more warnings", warnings.len() - position);
        if warning.len() + rest.len() > left {
            push_string(out, &rest);
            break;
        }
        left -= warning.len();
        push_string(out, warning);
    }
    if !warnings.is_empty() {
        out.push(']');
    }
}

fn push_string(out: &mut String, text: &str) {
    // Writing a string to memory cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn response(answer: Answer) -> Value {
        let review: Value = serde_json::from_str(&answer.into_review("u\"1")).unwrap();
        assert_eq!(review["response"]["uid"], "u\"1");
        review["response"].clone()
    }

    #[test]
    fn answers_are_reviews() {
        insta::assert_snapshot!(Answer::allowed().into_review("1"));
        insta::assert_snapshot!(Answer::refused(403, "no \"luck\"".to_owned()).into_review("1"));
        let full = Answer {
            patch: "[{}]".to_owned(),
            warnings: vec!["one".to_owned(), "two".to_owned()],
            audit: vec![("injected", "shop/log=1".to_owned()), ("skipped", "x".to_owned())],
            ..Answer::default()
        };
        insta::assert_snapshot!(full.into_review("1"));
    }

    #[test]
    fn many_warnings_stay_within_what_is_passed_on() {
        let warnings = (0..200).map(|number| format!("{number} {}", "w".repeat(90))).collect();
        let answer = response(Answer { warnings, ..Answer::default() });
        let told = answer["warnings"].as_array().unwrap();
        let length: usize = told.iter().map(|text| text.as_str().unwrap().len()).sum();
        assert!(length <= WARNINGS_LENGTH);
        assert_eq!(told.last().unwrap(), &format!("and {} more warnings", 200 - told.len() + 1));
    }
}
