//! The job-array script on a real Slurm of one node, where Slurm is installed: tasks that are queued again and killed lose nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{path, program, repository, skipped};

/// A cluster of this machine alone, in a directory; it is stopped at the end of the test.
struct Cluster {
    dir: PathBuf,
}

impl Cluster {
    /// Starts it, or says why it cannot be started.
    fn start(dir: &Path) -> Result<Self, String> {
        for program in ["munged", "slurmctld", "slurmd", "sbatch"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
            if !found.status.success() {
                return Err(format!("Slurm is not installed: there is no {program}"));
            }
        }
        if output(Command::new("id").arg("-u")).trim() != "0" {
            return Err("only root can start the daemons of Slurm".to_owned());
        }
        let cluster = Self { dir: dir.to_owned() };
        ["state", "spool"].iter().for_each(|name| fs::create_dir(dir.join(name)).unwrap());
        start_munge(dir);
        let config = dir.join("slurm.conf");
        fs::write(&config, slurm_conf(dir)).unwrap();
        output(cluster.command("slurmctld").arg("-f").arg(&config));
        output(cluster.command("slurmd").arg("-f").arg(&config));
        cluster.wait("the node is idle", || output(cluster.command("sinfo").args(["-h", "-o", "%T"])).contains("idle"));
        Ok(cluster)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.dir.join("slurm.conf")).current_dir(&self.dir);
        command
    }

    #[track_caller]
    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_so() {
            if started.elapsed() > Duration::from_secs(240) {
                let log = fs::read_to_string(self.dir.join("slurmctld.log")).unwrap_or_default();
                panic!("not so after four minutes: {what}\n{}\n{log}", output(self.command("squeue").arg("-a")));
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// The states of a job's tasks that are in the queue: a line each, such as `0 RUNNING`.
    fn queue(&self, job: &str) -> String {
        output(self.command("squeue").args(["-h", "-r", "-j", job, "-o", "%K %T"]))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for name in ["slurmd", "slurmctld", "munge"] {
            let Ok(pid) = fs::read_to_string(self.dir.join(format!("{name}.pid"))) else { continue };
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

/// Starts the daemon that authenticates, with a key of its own.
fn start_munge(dir: &Path) {
    let key = dir.join("munge.key");
    fs::write(&key, [7; 1024]).unwrap();
    output(Command::new("chmod").arg("400").arg(&key));
    let options = [
        ("socket", "munge.sock"),
        ("key-file", "munge.key"),
        ("pid-file", "munge.pid"),
        ("log-file", "munge.log"),
        ("seed-file", "munge.seed"),
    ];
    let options = options.map(|(option, file)| format!("--{option}={}", dir.join(file).display()));
    output(Command::new("munged").args(options).arg("--force"));
}

/// The configuration of a cluster of this machine alone.
fn slurm_conf(dir: &Path) -> String {
    let host = output(Command::new("hostname").arg("-s")).trim().to_owned();
    let at = |name: &str| dir.join(name).display().to_string();
    format!(
        "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmctldPort={}\nSlurmdPort={}\n\
         AuthType=auth/munge\nAuthInfo=socket={munge},cred_expire=5\nCredType=cred/munge\nStateSaveLocation={state}\n\
         SlurmdSpoolDir={spool}\nSlurmctldPidFile={ctld}.pid\nSlurmdPidFile={d}.pid\nSlurmctldLogFile={ctld}.log\n\
         SlurmdLogFile={d}.log\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
         SelectTypeParameters=CR_CPU\nReturnToService=2\nMpiDefault=none\nKillWait=2\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN\n\
         PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP\n",
        free_port(),
        free_port(),
        munge = at("munge.sock"),
        state = at("state"),
        spool = at("spool"),
        ctld = at("slurmctld"),
        d = at("slurmd"),
    )
}

/// A port that is free now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_array_of_shards_survives_requeues_and_kills() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = match Cluster::start(dir.path()) {
        Ok(cluster) => cluster,
        Err(reason) => {
            assert!(std::env::var_os("STRATIGRAPH_REQUIRE_SLURM").is_none(), "{reason}");
            return skipped(&reason);
        }
    };
    let (job, out) = (dir.path().join("job"), dir.path().join("out"));
    let planned = ["sweep", "plan", path(&job), "--sequences", "64", "--seq-len", "128", "--windows-per-step", "1"];
    output(program().args(planned));
    let script = repository().join("scripts/cluster/sweep.sbatch");
    let stratigraph = program().get_program().to_owned();
    let mut submit = cluster.command("sbatch");
    submit.args(["--parsable", "--array=0-1"]).arg(script).arg(stratigraph).arg(&job);
    let id = output(&mut submit).trim().to_owned();

    let is_step = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let done = || fs::read_dir(job.join("steps")).unwrap().flatten().filter(is_step).count();
    cluster.wait("both tasks run", || cluster.queue(&id).matches("RUNNING").count() == 2 && done() >= 2);
    // One task nears its time limit, as Slurm tells it by a signal; the other one's program is killed.
    output(cluster.command("scancel").args(["--batch", "--signal=USR1", &format!("{id}_0")]));
    output(Command::new("pkill").args(["-9", "-f", &format!("sweep run {} --shard 1/2", path(&job))]));
    let after = done();
    assert!(after < 64, "{after} of 64 steps were done: too quick for this test");
    cluster.wait("the array is done", || {
        let left = cluster.command("squeue").args(["-h", "-j", &id]).output().unwrap();
        String::from_utf8_lossy(&left.stdout).trim().is_empty()
    });
    let log = |task: &str| fs::read_to_string(dir.path().join(format!("sweep-{id}-{task}.log"))).unwrap();
    assert!(log("0").contains("shard 0/2: ") && log("1").contains("shard 1/2: "), "{}\n{}", log("0"), log("1"));
    output(program().args(["sweep", "merge", path(&job), "--out", path(&out)]));
    assert!(out.join("profile.json").is_file());
    assert_eq!(done(), 64);
}
