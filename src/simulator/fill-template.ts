/** A template with fields of the input in place of `{field}`. */
export const fill = (template: string, input: Record<string, unknown>) =>
  template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = input[name]
    return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
  })
