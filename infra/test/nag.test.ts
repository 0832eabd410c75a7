/** cdk-nag's AwsSolutions rules over the stack: nothing that is not said, with its reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { publishedStack } from '../lib/synthesise.ts';

for (const Pack of [AwsSolutionsChecks, ServerlessChecks]) {
  test(`${Pack.name} finds nothing but what is acknowledged`, () => {
    const stack = publishedStack();
    const report = new Pack(stack).validateScope(stack);
    const found = report.violations.map((violation) => ({
      rule: violation.ruleName,
      at: violation.violatingResources.map((resource) => resource.resourceLogicalId),
    }));
    assert.deepEqual(found, []);
  });
}
