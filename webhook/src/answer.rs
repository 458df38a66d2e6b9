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
    pub fn into_review(self, uid: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.patch.len().div_ceil(3) * 4);
        out.extend_from_slice(
            br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#,
        );
        push_string(&mut out, uid);
        match &self.refusal {
            None => out.extend_from_slice(br#","allowed":true"#),
            Some(Refusal { code, message }) => {
                out.extend_from_slice(br#","allowed":false,"status":{"code":"#);
                out.extend_from_slice(code.to_string().as_bytes());
                out.extend_from_slice(br#","message":"#);
                push_string(&mut out, message);
                out.push(b'}');
            }
        }
        push_patch(&mut out, &self.patch);
        push_warnings(&mut out, &self.warnings);
        push_audit(&mut out, &self.audit);
        out.extend_from_slice(b"}}");
        out
    }
}

fn push_patch(out: &mut Vec<u8>, patch: &str) {
    if patch.is_empty() {
        return;
    }
    out.extend_from_slice(br#","patchType":"JSONPatch","patch":""#);
    let start = out.len();
    out.resize(start + patch.len().div_ceil(3) * 4, 0);
    // The room is exactly what the patch needs.
    let written = STANDARD.encode_slice(patch, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}

fn push_audit(out: &mut Vec<u8>, audit: &[(&'static str, String)]) {
    for (position, (key, value)) in audit.iter().enumerate() {
        out.extend_from_slice(if position == 0 { br#","auditAnnotations":{"# } else { b"," });
        push_string(out, key);
        out.push(b':');
        push_string(out, value);
    }
    if !audit.is_empty() {
        out.push(b'}');
    }
}

fn push_warnings(out: &mut Vec<u8>, warnings: &[String]) {
    let mut left = WARNINGS_LENGTH;
    for (position, warning) in warnings.iter().enumerate() {
        out.extend_from_slice(if position == 0 { br#","warnings":["# } else { b"," });
        let rest = format!("and {} more warnings", warnings.len() - position);
        if warning.len() + rest.len() > left {
            push_string(out, &rest);
            break;
        }
        left -= warning.len();
        push_string(out, warning);
    }
    if !warnings.is_empty() {
        out.push(b']');
    }
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn response(answer: Answer) -> Value {
        let review: Value = serde_json::from_slice(&answer.into_review("u\"1")).unwrap();
        assert_eq!(review["response"]["uid"], "u\"1");
        review["response"].clone()
    }

    fn text(answer: Answer) -> String {
        String::from_utf8(answer.into_review("1")).unwrap()
    }

    #[test]
    fn answers_are_reviews() {
        insta::assert_snapshot!(text(Answer::allowed()));
        insta::assert_snapshot!(text(Answer::refused(403, "no \"luck\"".to_owned())));
        let full = Answer {
            patch: "[{}]".to_owned(),
            warnings: vec!["one".to_owned(), "two".to_owned()],
            audit: vec![("injected", "shop/log=1".to_owned()), ("skipped", "x".to_owned())],
            ..Answer::default()
        };
        insta::assert_snapshot!(text(full));
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
