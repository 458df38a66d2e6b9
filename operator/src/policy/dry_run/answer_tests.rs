//! Answers as API servers give them.

use inject::PolicyId;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn question() -> Question {
    let spec = json!({
        "sidecars": [
            { "name": "proxy", "image": "proxy:1", "type": "Container" },
            { "name": "shipper", "image": "shipper:1", "placement": { "after": "prepare" } },
        ],
        "volumes": [{ "name": "logs", "emptyDir": {} }],
        "files": [{ "path": "/etc/shipper", "content": "x" }],
        "appContainers": [{ "volumeMounts": [{ "name": "other", "mountPath": "/other" }] }],
    });
    let spec = serde_json::from_value(spec).unwrap();
    Question::of(&PolicyId::namespaced("shop", "log"), &spec).unwrap()
}

fn answer(status: u16, message: &str, causes: &Value) -> Result<Verdict, String> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
        "message": message, "reason": "Invalid", "details": { "causes": causes },
    });
    verdict(&question(), status, &[], body.to_string().as_bytes())
}

#[test]
fn the_question_is_a_template_with_what_goes_in() {
    let body: Value = serde_json::from_str(&question().body).unwrap();
    assert_eq!((&body["kind"], &body["apiVersion"]), (&json!("PodTemplate"), &json!("v1")));
    assert_eq!(body["template"]["metadata"].as_object().unwrap().len(), 2, "labels, annotations");
    let names = |list: &str| -> Vec<&str> {
        let elements = body["template"]["spec"][list].as_array().unwrap().iter();
        elements.map(|element| element["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("initContainers"), ["prepare", "shipper"]);
    assert_eq!(names("containers"), ["app", "proxy"]);
    assert_eq!(names("volumes"), ["other", "logs", "sidecar-files-log"]);
}

#[rstest]
#[case::sidecar("template.spec.initContainers[1].foo", "spec.sidecars[1].foo")]
#[case::ordinary("template.spec.containers[1].ports[0].foo", "spec.sidecars[0].ports[0].foo")]
#[case::app("template.spec.containers[0].foo", "spec.appContainers (container \"app\").foo")]
#[case::volume("template.spec.volumes[1].emptyDir.foo", "spec.volumes[0].emptyDir.foo")]
#[case::files("template.spec.volumes[2].foo", "spec.files (volume \"sidecar-files-log\").foo")]
#[case::pod("template.spec.hostAliases[0].foo", "spec.pod.hostAliases[0].foo")]
#[case::metadata("template.metadata.labels", "spec.pod.labels")]
#[case::out_of_range("template.spec.volumes[9].foo", "template.spec.volumes[9].foo")]
#[case::no_path("a template.yaml", "a template.yaml")]
fn paths_are_those_of_the_policy(#[case] path: &str, #[case] expected: &str) {
    assert_eq!(question().in_terms_of_the_policy(path), expected);
}

#[test]
fn fields_that_the_api_server_does_not_know_are_named() {
    let found = answer(
        400,
        "PodTemplate in version \"v1\" cannot be handled as a PodTemplate: strict decoding error: unknown field \"template.spec.initContainers[1].foo\", unknown field \"template.spec.volumes[1].emptyDir.bar\"",
        &json!([]),
    );
    let expected =
        "unknown field \"spec.sidecars[1].foo\", unknown field \"spec.volumes[0].emptyDir.bar\"";
    assert_eq!(found, Ok(Verdict::UnknownField(expected.to_owned())));
}

#[test]
fn what_the_api_server_refuses_is_told_field_by_field() {
    let causes = json!([
        { "reason": "FieldValueInvalid", "field": "template.spec.initContainers[1].image", "message": "Invalid value: \" a\"" },
        { "reason": "FieldValueRequired", "field": "template.spec.containers[1].name", "message": "Required value" },
    ]);
    assert_eq!(
        answer(422, "PodTemplate \"log\" is invalid: …", &causes),
        Ok(Verdict::Refused(
            "spec.sidecars[1].image: Invalid value: \" a\"; spec.sidecars[0].name: Required value"
                .to_owned()
        ))
    );
    let unreadable = "PodTemplate in version \"v1\" cannot be handled as a PodTemplate: json: cannot unmarshal string into Go struct field Container.template.spec.initContainers.stdin of type bool";
    assert!(matches!(answer(400, unreadable, &json!([])), Ok(Verdict::Refused(_))));
}

#[rstest]
#[case::forbidden(403, "podtemplates is forbidden", json!([]))]
#[case::no_namespace(404, "namespaces \"x\" not found", json!([]))]
#[case::webhook_of_others(400, "admission webhook \"x\" denied the request: no", json!([]))]
#[case::admission_policy(422, "podtemplates \"log\" is forbidden: ValidatingAdmissionPolicy 'x' denied request", json!([{ "message": "no" }]))]
#[case::overloaded(429, "too many requests", json!([]))]
#[case::broken(500, "internal error", json!([]))]
fn what_others_say_is_no_answer(#[case] status: u16, #[case] message: &str, #[case] causes: Value) {
    assert_eq!(answer(status, message, &causes), Err(message.to_owned()));
}

#[test]
fn an_answer_that_is_no_status_is_none() {
    let found = verdict(&question(), 502, &[], b"<html>");
    assert_eq!(found, Err("the API server answered with HTTP status 502".to_owned()));
}

#[test]
fn the_words_of_pod_security_come_with_the_consent() {
    let warnings = [
        "would violate PodSecurity \"restricted:latest\": runAsNonRoot != true (pod or container \"shipper\" must set securityContext.runAsNonRoot=true)".to_owned(),
    ];
    assert_eq!(
        verdict(&question(), 201, &warnings, b"{}"),
        Ok(Verdict::Agrees {
            pod_security: Some(
                "runAsNonRoot != true (pod or container \"shipper\" must set securityContext.runAsNonRoot=true)"
                    .to_owned()
            )
        })
    );
    let other = ["spec.template.spec.nodeSelector: deprecated".to_owned()];
    assert_eq!(
        verdict(&question(), 201, &other, b"{}"),
        Ok(Verdict::Agrees { pod_security: None })
    );
}
