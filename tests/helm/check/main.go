// check pods FILE...        judges every pod of the manifests by Pod Security
// "restricted", with the code that the API server runs.
// check build DIRECTORY     prints what kustomize makes of it.
// check compose FILE...     loads Compose files as Compose does.
// check config FILE NAME    prints a config that a Compose file holds.
// Exit code 1, with a line for each fault.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var faults int

func fault(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	faults++
}

// documents are the YAML documents of a manifest. The separator is Helm's and
// ours: alone on its line, never within a text.
func documents(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		fault("%v", err)
	}
	return strings.Split("\n"+string(text), "\n---\n")
}

// pod is what a document makes, nil where that is no pod. Strict: a field that
// the type does not have is a fault.
func pod(document string) (string, *corev1.PodTemplateSpec, error) {
	var kind struct {
		Kind     string
		Metadata struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		return "", nil, err
	}
	name := kind.Kind + " " + kind.Metadata.Name
	switch kind.Kind {
	case "StatefulSet":
		var set appsv1.StatefulSet
		err := yaml.UnmarshalStrict([]byte(document), &set)
		return name, &set.Spec.Template, err
	case "Pod":
		var pod corev1.Pod
		err := yaml.UnmarshalStrict([]byte(document), &pod)
		return name, &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}, err
	case "Job":
		var job batchv1.Job
		err := yaml.UnmarshalStrict([]byte(document), &job)
		return name, &job.Spec.Template, err
	case "Deployment", "DaemonSet", "CronJob", "ReplicaSet":
		return name, nil, fmt.Errorf("makes pods, and check does not know how to look at them")
	}
	return name, nil, nil
}

func pods(files []string) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		fault("%v", err)
		return
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	seen := 0
	for _, file := range files {
		for _, document := range documents(file) {
			name, template, err := pod(document)
			if err != nil {
				fault("%s: %s: %v", file, name, err)
			}
			if template == nil || err != nil {
				continue
			}
			seen++
			for _, result := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
				if !result.Allowed {
					fault("%s: %s: %s: %s", file, name, result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
		}
	}
	fmt.Printf("%d pods\n", seen)
	if seen == 0 {
		fault("there was no pod to judge")
	}
}

func build(directories []string) {
	for _, directory := range directories {
		made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
		if err != nil {
			fault("%s: %v", directory, err)
			continue
		}
		text, err := made.AsYaml()
		if err != nil {
			fault("%s: %v", directory, err)
		}
		os.Stdout.Write(text)
	}
}

func load(file string) *types.Project {
	options, err := cli.NewProjectOptions([]string{file})
	if err != nil {
		fault("%s: %v", file, err)
		return nil
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		fault("%s: %v", file, err)
		return nil
	}
	return project
}

func compose(files []string) {
	for _, file := range files {
		load(file)
	}
}

func config(arguments []string) {
	project := load(arguments[0])
	if project == nil {
		return
	}
	found, known := project.Configs[arguments[len(arguments)-1]]
	if !known {
		fault("%s: has no such config", arguments[0])
	}
	fmt.Print(found.Content)
}

func main() {
	commands := map[string]func([]string){"pods": pods, "build": build, "compose": compose, "config": config}
	if len(os.Args) < 3 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: check pods|build|compose|config ARGUMENT...")
		os.Exit(2)
	}
	commands[os.Args[1]](os.Args[2:])
	if faults > 0 {
		os.Exit(1)
	}
}
