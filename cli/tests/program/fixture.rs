//! A folder of files in which the program is run.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// The log shipper of the API's smallest useful policy, in namespace `shop`.
pub(crate) const POLICY: &str = "\
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata: {name: log-shipper, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  sidecars:
  - name: shipper
    image: docker.io/otel/collector:1
    volumeMounts: [{name: logs, mountPath: /var/log/app, readOnly: true}]
  volumes:
  - {name: logs, emptyDir: {sizeLimit: 256Mi}}
  appContainers:
  - volumeMounts: [{name: logs, mountPath: /var/log/app}]
";

/// A pod that the log shipper selects.
pub(crate) const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec: {containers: [{name: app, image: 'api:1'}]}
";

/// A policy of the cluster with one sidecar of its name, as one more document.
pub(crate) fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: sidecarpolicy.dev/v1alpha1\nkind: ClusterSidecarPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{sidecars: [{{name: {name}, image: 'x:1'}}], {spec}}}\n"
    )
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) output: String,
    pub(crate) messages: String,
    pub(crate) code: i32,
}

impl Ended {
    /// What the program printed; it must have ended well.
    pub(crate) fn printed(self) -> String {
        assert_eq!(self.code, 0, "{}", self.messages);
        self.output
    }

    /// What the program complained of; it must not have run.
    pub(crate) fn complaint(self) -> String {
        assert_eq!((self.code, self.output.as_str()), (2, ""), "{}", self.messages);
        self.messages
    }
}

/// A folder of a test's own, with its files.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty folder for the test of this name.
    pub(crate) fn new(test: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        if path.exists() {
            fs::remove_dir_all(&path).expect("the folder of the last run can be removed");
        }
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path).with("policy.yaml", POLICY)
    }

    /// The folder with one more file.
    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("the file is in a folder"))
            .expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
        self
    }

    /// What a file holds.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("a file can be read")
    }

    /// Runs the program in the folder.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Ended {
        self.run_with(&[], arguments, input)
    }

    /// Runs the program in the folder, with these variables.
    pub(crate) fn run_with(
        &self,
        variables: &[(&str, &str)],
        arguments: &[&str],
        input: &str,
    ) -> Ended {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kubectl-sidecar"))
            .args(arguments)
            .env_remove("CLICOLOR_FORCE")
            .envs(variables.iter().copied())
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = program.stdin.take().expect("its input is a pipe");
        let input = input.to_owned();
        // The program may end without reading all of it.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).is_ok());
        let ended = program.wait_with_output().expect("the program ends");
        writer.join().expect("the input is written");
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Ended {
            output: text(ended.stdout),
            messages: text(ended.stderr),
            code: ended.status.code().expect("the program ends by itself"),
        }
    }

    /// Injects `policy.yaml` into what is given on standard input. What comes out is injected
    /// again, which must change nothing and give the same answer.
    pub(crate) fn inject(&self, input: &str) -> Ended {
        let arguments = ["inject", "-p", "policy.yaml", "-f", "-"];
        let ended = self.run(&arguments, input);
        if ended.code != 2 {
            let again = self.run(&arguments, &ended.output);
            assert_eq!(again.output, ended.output, "injecting twice is injecting once");
            assert_eq!(again.code, ended.code, "{}", again.messages);
        }
        ended
    }
}

/// Injects the log shipper, and what else the policies say, into manifests.
pub(crate) fn inject(test: &str, policy: &str, input: &str) -> Ended {
    Folder::new(test).with("policy.yaml", policy).inject(input)
}

/// The only document of some YAML, as another reader sees it.
pub(crate) fn value(yaml: &str) -> serde_json::Value {
    serde_saphyr::from_str(yaml).expect(yaml)
}
