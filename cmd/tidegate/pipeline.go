package main

import "github.com/spf13/cobra"

func (c *cli) pipelineCommand() *cobra.Command {
	subs := []*cobra.Command{
		c.pipelineList(), c.pipelineRelease(), c.pipelineReleases(), c.pipelineShow(),
		c.stageVerb("approve", "Approve a stage that waits for it"), c.stageVerb("reject", "Reject a stage that waits for an approval"),
		c.stageVerb("retry", "Begin a stage again that ended badly"), c.pipelineRerun(), c.pipelineDeployments(), c.pipelineRollback(),
	}
	return parent(&cobra.Command{Use: "pipeline", Aliases: []string{"pipelines"}, Short: "Releases through stages, and comparisons of environments"},
		append(subs, c.pipelineComparisons()...)...)
}
