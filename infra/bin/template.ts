/** Writes `template.yaml`; with `--check` fails where it is not what the stack says. */
import { readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { publishedTemplate } from '../lib/synthesise.ts';

const FILE = new URL('../template.yaml', import.meta.url);
const HEAD = '# Made by `make template` from the CDK app beside it; not written by hand.\n';

const text = HEAD + stringify(publishedTemplate(), {
  // CloudFormation reads YAML 1.1, where OFF is a boolean.
  version: '1.1', lineWidth: 0, aliasDuplicateObjects: false,
});
if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== text) {
    console.error('infra/template.yaml is not what the stack says: run `make template`');
    process.exit(1);
  }
} else {
  writeFileSync(FILE, text);
}
