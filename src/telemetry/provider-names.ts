/** OpenTelemetry's names of kinds of providers where they are others than ours. */
export const providerNames: Record<string, string> = {
  bedrock: 'aws.bedrock',
  azure: 'azure.ai.openai',
  gemini: 'gcp.gemini',
  vertex: 'gcp.vertex_ai',
  mistral: 'mistral_ai',
  kimi: 'moonshot_ai',
  grok: 'x_ai',
};
